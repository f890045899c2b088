package main

import (
	"strconv"
	"strings"
)

// maxAnswer is the largest answer that is read, in bytes. A token has one or two
// thousand.
const maxAnswer = 1 << 20

// An answer is the agent's HTTP response.
type answer struct {
	status  int
	body    string
	length  int    // Content-Length; -1 if there was none
	warning string // from the agent for a person, not sanitized; mostly empty
}

// The errors of an answer. Each text continues "PATH: the answer".
var (
	errIncomplete = failure{exitTemporary, "is incomplete; try again, and see: kyc-agentd status"}
	errTooLarge   = failure{exitInternal, "is larger than 1 MiB; " + checkSocket}
	errNotAgent   = failure{exitInternal, "is not kyc-agentd's; " + checkSocket}
	errEmpty      = failure{exitInternal, "is empty; " + checkSocket}
)

// parseAnswer parses an HTTP answer that is not chunked. ended is whether the agent has
// closed the connection after raw. errIncomplete means that raw is only a part of an
// answer.
func parseAnswer(raw string, ended bool) (answer, error) {
	head, body, whole := strings.Cut(raw, "\r\n\r\n")
	statusLine, fields, _ := strings.Cut(head, "\r\n")
	if !strings.HasPrefix(raw, statusStart[:min(len(raw), len(statusStart))]) {
		return answer{}, errNotAgent
	}
	if !whole {
		return answer{}, errIncomplete
	}
	a := answer{body: body}
	var err error
	if a.status, err = parseStatus(statusLine); err != nil {
		return answer{}, err
	}
	if a.length, a.warning, err = parseFields(fields); err != nil {
		return answer{}, err
	}
	if a.status == 204 && a.length < 0 {
		a.length = 0 // a 204 has no body and needs no Content-Length
	}
	switch {
	case a.length > maxAnswer:
		return answer{}, errTooLarge
	case a.length >= 0 && len(body) > a.length:
		return answer{}, errNotAgent
	case len(body) < a.length, a.length < 0 && !ended:
		return answer{}, errIncomplete
	}
	return a, nil
}

const statusStart = "HTTP/1."

// parseStatus reads "HTTP/1.0 200 OK".
func parseStatus(line string) (int, error) {
	_, rest, _ := strings.Cut(line, " ")
	digits, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(digits)
	if err != nil || len(digits) != 3 || status < 100 {
		return 0, errNotAgent
	}
	return status, nil
}

// parseFields finds the body's length, or -1 if there is none, and the warning among
// the header's fields.
func parseFields(fields string) (length int, warning string, err error) {
	length = -1
	for len(fields) > 0 {
		var line string
		line, fields, _ = strings.Cut(fields, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		switch {
		case sameName(name, "transfer-encoding"):
			return 0, "", errNotAgent
		case sameName(name, "kyc-warning"):
			warning = strings.Trim(value, " \t")
		case sameName(name, "content-length"):
			n, err := parseLength(value)
			if err != nil || length >= 0 && length != n {
				return 0, "", errNotAgent
			}
			length = n
		}
	}
	return length, warning, nil
}

// parseLength parses decimal digits. Unlike strconv.Atoi it accepts no sign.
func parseLength(value string) (int, error) {
	n, err := strconv.ParseUint(strings.Trim(value, " \t"), 10, 31)
	if err != nil {
		return 0, errNotAgent
	}
	return int(n), nil
}

// sameName reports whether a field's name is lower, in any case.
func sameName(name, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// result returns the text to print, or the agent's error.
//
// A success has to have a Content-Length and end in a newline. Otherwise the part of an
// answer that an agent sent before it died would be treated as complete.
//
// With mayBeEmpty, a 204 is a success with no text.
func (a answer) result(mayBeEmpty bool) (string, error) {
	switch {
	case a.status == 204 && mayBeEmpty && a.length == 0:
		return "", nil
	case a.status != 200:
		return "", refusal{failure{exitOf(a.status), a.reason()}}
	case a.length < 0:
		return "", errNotAgent
	case a.length == 0:
		return "", errEmpty
	case a.body[len(a.body)-1] != '\n':
		return "", errIncomplete
	}
	return a.body, nil
}

// reason returns the agent's error message, which is the first line of the body.
func (a answer) reason() string {
	if line, _, _ := strings.Cut(a.body, "\n"); line != "" && line != "\r" {
		return withUpgrade(strings.TrimSuffix(line, "\r"))
	}
	return "the agent answered " + strconv.Itoa(a.status) + " without a reason; run: kyc-agentd status"
}

// withUpgrade adds the next command to the message of an agent that does not know what this
// program asks for, because it is older. No argument of a person can cause such a message.
func withUpgrade(line string) string {
	if strings.Contains(line, "run: ") {
		return line
	}
	for _, start := range []string{"unknown query parameter ", "no such path", "method "} {
		if strings.HasPrefix(line, start) {
			return line + "; that agent is older than kyc-token: upgrade kyc-agentd, then run: " + restartCommand
		}
	}
	return line
}

// exitOf returns the exit code for an HTTP status of the agent's socket API.
func exitOf(status int) int {
	switch status {
	case 400:
		return exitUsage
	case 401, 403, 423:
		return exitDenied
	case 404, 422:
		return exitConfig
	case 429, 503:
		return exitTemporary
	}
	return exitInternal
}
