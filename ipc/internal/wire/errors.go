package wire

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// ErrUnknown is the cause of an error about a path, a parameter, a field or a format that
// this version does not know and a newer one may.
var ErrUnknown = errors.New("not known to this version")

// UsageError returns an error for a request that is wrong.
func UsageError(format string, args ...any) *agent.Error {
	return &agent.Error{Code: agent.CodeUsage, Op: "request", Message: fmt.Sprintf(format, args...)}
}

// UnknownError is UsageError with [ErrUnknown] as its cause.
func UnknownError(format string, args ...any) *agent.Error {
	e := UsageError(format, args...)
	e.Err = ErrUnknown
	return e
}

// A StatusError is an error whose status is not the one of its code.
type StatusError struct {
	Err    *agent.Error
	Status int
	Allow  string // the Allow header of a 405
}

// NewStatusError is UsageError with a status.
func NewStatusError(status int, format string, args ...any) *StatusError {
	return &StatusError{Err: UsageError(format, args...), Status: status}
}

// Error returns the [agent.Error]'s line.
func (e *StatusError) Error() string { return e.Err.Error() }

// Unwrap leads errors.As to the [agent.Error].
func (e *StatusError) Unwrap() error { return e.Err }

// InEnvironment says which environment err, an [agent.Error], is about. The name is as a client
// sent it.
func InEnvironment(environment string, err error) error {
	if e, ok := err.(*agent.Error); ok {
		e.Environment = sanitize.Cut(environment, 64)
	}
	return err
}

// Sanitized returns the part of err that a client may read: its message and hint as one
// line each, and never its cause, which may quote anything. Only [agent.ErrBadCredential]
// is kept.
func Sanitized(err error) *agent.Error {
	out := agent.Error{Code: agent.CodeOf(err)}
	if e, ok := errors.AsType[*agent.Error](err); ok {
		out = agent.Error{
			Code: e.Code, Environment: sanitize.OneLine(e.Environment), RetryAfter: e.RetryAfter,
			Message: sanitize.OneLine(e.Message), Hint: sanitize.OneLine(e.Hint),
		}
	}
	if errors.Is(err, agent.ErrBadCredential) {
		out.Err = agent.ErrBadCredential
	}
	if out.Message == "" {
		out.Message = infoOf(out.Code).defaultMessage
	}
	return &out
}

// Quote quotes what a client sent for an error, cut to 40 characters.
func Quote(s string) string { return strconv.Quote(sanitize.Cut(s, 40)) }
