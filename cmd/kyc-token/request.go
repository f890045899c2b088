package main

// maxRequest is half of the header that the agent reads, in bytes.
const maxRequest = 4096

// request renders the one request. HTTP/1.0, so the answer is never chunked and the
// agent closes the connection after it.
func (o options) request() (string, error) {
	query := "?"
	query += pair(query, "env", o.environment)
	query += pair(query, "min_valid", o.minValid)
	query += pair(query, "format", o.format)
	if query == "?" {
		query = ""
	}
	r := "GET /v1/token" + query + " HTTP/1.0\r\n" +
		"Host: kyc-agent\r\n" +
		"Accept: text/plain\r\n\r\n"
	if len(r) > maxRequest {
		return "", usageError("the arguments are too long")
	}
	return r, nil
}

// pair renders one pair of the query so far; an empty value is left out.
func pair(query, name, value string) string {
	switch {
	case value == "":
		return ""
	case query == "?":
		return name + "=" + escape(value)
	}
	return "&" + name + "=" + escape(value)
}

// escape percent-encodes all but RFC 3986's unreserved characters.
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
