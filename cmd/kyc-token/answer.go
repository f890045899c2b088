package main

import (
	"strconv"
	"strings"
)

// maxAnswer is the largest answer that is read, in bytes: a token has one or two
// thousand.
const maxAnswer = 1 << 20

// An answer is what the agent said.
type answer struct {
	status  int
	body    string
	length  int    // of the body as announced; -1 when it was not
	warning string // of the agent for a person, as it came; mostly empty
}

// What can be wrong with an answer.
var (
	errIncomplete = failure{exitTemporary, "is incomplete; try again, and see: kyc-agentd status"}
	errTooLarge   = failure{exitInternal, "is larger than 1 MiB; " + checkSocket}
	errNotAgent   = failure{exitInternal, "is not kyc-agentd's; " + checkSocket}
	errEmpty      = failure{exitInternal, "is empty; " + checkSocket}
)

// parseAnswer reads an HTTP answer that is not chunked. ended says that nothing comes
// after raw. errIncomplete says that more is needed.
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
		a.length = 0 // it has no body, and says nothing of one
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

// parseFields finds the body's length among the header's fields, -1 when it is not
// told, and the warning.
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

// parseLength reads decimal digits, and nothing else: no sign.
func parseLength(value string) (int, error) {
	n, err := strconv.ParseUint(strings.Trim(value, " \t"), 10, 31)
	if err != nil {
		return 0, errNotAgent
	}
	return int(n), nil
}

// sameName compares a field's name with one in lower case.
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

// result is the artefact, or the agent's error.
//
// A success has to tell its length and end in a newline: without either, an agent
// that died half-way would pass for one that had finished.
//
// No content at all is an answer where silent says so.
func (a answer) result(silent bool) (string, error) {
	switch {
	case a.status == 204 && silent && a.length == 0:
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

// reason is the agent's own line.
func (a answer) reason() string {
	if line, _, _ := strings.Cut(a.body, "\n"); line != "" && line != "\r" {
		return strings.TrimSuffix(line, "\r")
	}
	return "the agent answered " + strconv.Itoa(a.status) + " without a reason; run: kyc-agentd status"
}

// exitOf is the exit code of an HTTP status. The statuses are those of the agent's
// socket API.
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
