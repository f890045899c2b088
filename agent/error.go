package agent

import (
	"context"
	"errors"
	"strings"
	"time"
)

// A Code is the kind of a failure. Codes are sent over the socket and decide exit codes,
// so the list only ever grows. A Code is an error, for errors.Is:
//
//	if errors.Is(err, agent.CodeLoginRequired) { … }
type Code string

// The codes, with the HTTP status and the kyc-token exit code of each.
const (
	CodeUsage              Code = "usage"               // 400, 64: the request itself is wrong
	CodeLoginRequired      Code = "login_required"      // 401, 77: a person has to sign in
	CodeDenied             Code = "denied"              // 403, 77: refused by a rule, here or in Cognito's firewall
	CodeApprovalRequired   Code = "approval_required"   // 403, 77: a person has to approve the program
	CodeUnknownEnvironment Code = "unknown_environment" // 404, 78: no such environment is configured
	CodeConfiguration      Code = "configuration"       // 422, 78: the environment's configuration cannot work
	CodeLocked             Code = "locked"              // 423, 77: the store is locked
	CodeThrottled          Code = "throttled"           // 429, 75: Cognito asks to slow down, or the API's limit is used up
	CodeInternal           Code = "internal"            // 500, 70: a bug, or an answer that makes no sense
	CodeUnavailable        Code = "unavailable"         // 503, 75: network, timeout, Cognito down: try again later
)

// Error returns the code's name.
func (c Code) Error() string { return string(c) }

// An Error says what was being done, for which environment, what went wrong and what to
// type next. It never contains a secret, nor a message from Cognito: those have been seen
// to echo tokens.
type Error struct {
	Code        Code
	Op          string        // "token", "login", "refresh", … for logs
	Environment string        // empty if there is none
	Message     string        // the cause, in words: "not signed in"
	Hint        string        // the next step: "run: kyc-agentd login prod"; may be empty
	RetryAfter  time.Duration // when trying again makes sense; 0 when unknown
	Err         error         // the cause, for errors.Is and for the log; may be nil

	repeated bool // it was returned and logged before, and nothing was tried since
}

// Error returns "environment: message; hint" on one line. If the message is a sentence, as
// those of the API's guide are, the hint becomes another one.
func (e *Error) Error() string {
	s := e.Message
	if s == "" && e.Err != nil {
		s = e.Err.Error()
	}
	if s == "" {
		s = string(e.Code)
	}
	if e.Environment != "" {
		s = e.Environment + ": " + s
	}
	switch {
	case e.Hint == "":
		return s
	case strings.HasSuffix(s, "."):
		return s + " " + strings.ToUpper(e.Hint[:1]) + e.Hint[1:]
	default:
		return s + "; " + e.Hint
	}
}

// again returns e as an answer to another request, which tried nothing new.
func (e *Error) again() *Error {
	repeated := *e
	repeated.repeated = true
	return &repeated
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches a [Code].
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// CodeOf returns the code of err: that of an *Error or a Code, CodeUnavailable for a context
// that ended, and CodeInternal for anything else.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if c, ok := errors.AsType[Code](err); ok {
		return c
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return CodeUnavailable
	}
	return CodeInternal
}
