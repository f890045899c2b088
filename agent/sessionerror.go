package agent

import (
	"errors"
	"fmt"

	"github.com/legaltalent/kyc-agent/store"
)

func (s *session) errorf(op string, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Environment: s.name, Message: fmt.Sprintf(format, args...)}
}

func (s *session) notSignedIn(op string) *Error {
	e := s.errorf(op, CodeLoginRequired, "not signed in")
	e.Hint = s.loginHint()
	return e
}

func (s *session) loginHint() string { return "run: kyc-agentd login " + s.name }

// wrap makes err an *Error of this environment.
func (s *session) wrap(op string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		out := *e
		out.Environment = s.name
		if out.Op == "" {
			out.Op = op
		}
		return &out
	}
	e := s.errorf(op, CodeOf(err), "%s", err)
	e.Err = err
	return e
}

// storeError makes a store's error an *Error of this environment. Its text is kept: stores
// write theirs for people.
func (s *session) storeError(op string, err error) *Error {
	code := CodeUnavailable
	if errors.Is(err, store.ErrLocked) {
		code = CodeLocked
	}
	e := s.errorf(op, code, "%s", err)
	e.Err = err
	return e
}

// causeOf returns the text of the error behind e, for the log.
func causeOf(e *Error) string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}
