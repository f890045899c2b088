package main

import "strconv"

// formatK8s is the format and the protocol of Kubernetes clients.
const formatK8s = "k8s"

// maxRequest bounds the head, in bytes. It is half of the agent's own limit.
const maxRequest = 4096

// request renders the request, which asks for a token or passes on body, a tool's
// question. It is HTTP/1.0, so that the answer is never chunked and the agent closes the
// connection after it.
func (o options) request(body string) (string, error) {
	query := "?"
	query += pair(query, "env", o.environment)
	query += pair(query, "min_valid", o.minValid)
	query += pair(query, "user", o.user)
	head, rest := "GET /v1/token", ""
	if protocol := o.protocol(body); protocol != "" {
		query += pair(query, "operation", o.operation)
		head = "POST /v1/helper/" + protocol
		rest = "Content-Type: application/octet-stream\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	} else {
		query += pair(query, "type", o.tokenType)
		query += pair(query, "format", o.format)
	}
	if query == "?" {
		query = ""
	}
	r := head + query + " HTTP/1.0\r\n" +
		"Host: kyc-agent\r\n" +
		"Accept: text/plain\r\n" + rest + "\r\n"
	if len(r) > maxRequest {
		return "", usageError("the arguments are too long")
	}
	return r + body, nil
}

// protocol returns the helper protocol of body; empty asks for a token. A Kubernetes
// client puts its question into a variable and asks for a token in a format.
func (o options) protocol(body string) string {
	if o.mode == modeToken && o.format == formatK8s && body != "" {
		return formatK8s
	}
	return string(o.mode)
}

// pair renders name=value to append to query; an empty value is left out.
func pair(query, name, value string) string {
	switch {
	case value == "":
		return ""
	case query == "?":
		return name + "=" + escape(value)
	}
	return "&" + name + "=" + escape(value)
}

// escape percent-encodes all characters except RFC 3986's unreserved ones.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}

func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == '-', c == '.', c == '_', c == '~':
		return true
	}
	return false
}
