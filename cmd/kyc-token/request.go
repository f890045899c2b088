package main

import "strconv"

// formatK8s is the format and the protocol of Kubernetes clients.
const formatK8s = "k8s"

// maxRequest bounds the head, in bytes. It is half of the agent's own limit.
const maxRequest = 4096

// request renders the request, which asks for a token or passes on body, a tool's
// question. It is HTTP/1.0, so that the answer is never chunked and the agent closes the
// connection after it.
//
// It is written into one piece of memory on the stack: the first allocation of each size takes
// several microseconds, as the runtime prepares the memory for that size.
func (o options) request(body string) (string, error) {
	head, protocol := "GET /v1/token", o.protocol(body)
	if protocol != "" {
		head = "POST /v1/helper/" + protocol
	}
	r := append(make([]byte, 0, 512), head...)
	path := len(r)
	r = appendPair(r, path, "env", o.environment)
	r = appendPair(r, path, "min_valid", o.minValid)
	r = appendPair(r, path, "user", o.user)
	if protocol != "" {
		r = appendPair(r, path, "operation", o.operation)
	} else {
		r = appendPair(r, path, "type", o.tokenType)
		r = appendPair(r, path, "format", o.format)
	}
	rest := "\r\n"
	if protocol != "" {
		rest = "Content-Type: application/octet-stream\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	}
	r = append(append(r, " HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n"...), rest...)
	if len(r) > maxRequest {
		return "", usageError("the arguments are too long")
	}
	return string(append(r, body...)), nil
}

// protocol returns the helper protocol of body; empty asks for a token. A Kubernetes
// client puts its question into a variable and asks for a token in a format.
func (o options) protocol(body string) string {
	if o.mode == modeToken && o.format == formatK8s && body != "" {
		return formatK8s
	}
	return string(o.mode)
}

// appendPair appends name=value to a request whose path has path bytes; an empty value is left
// out. All characters except RFC 3986's unreserved ones are percent-encoded.
func appendPair(r []byte, path int, name, value string) []byte {
	if value == "" {
		return r
	}
	separator := "&"
	if len(r) == path {
		separator = "?"
	}
	r = append(r, separator+name+"="...)
	for i := range len(value) {
		if c := value[i]; unreserved(c) {
			r = append(r, c)
		} else {
			const hex = "0123456789ABCDEF"
			r = append(r, '%', hex[c>>4], hex[c&15])
		}
	}
	return r
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
