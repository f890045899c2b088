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

// goneError answers a request for which there was a refresh, but no credential after it: the
// sign-in went away, or the configuration changed, while the request waited.
func (s *session) goneError(op string) *Error {
	if err := s.agent.lockedError(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded && s.signIn == nil {
		return s.notSignedIn(op)
	}
	return s.changedError(op)
}

// changedError answers a request whose refresh was for what is not there any more.
func (s *session) changedError(op string) *Error {
	return s.errorf(op, CodeUnavailable, "the configuration or the sign-in changed meanwhile; try again")
}

// pending returns what a request waits for: words, or the store.
func (s *session) pending(words string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saving {
		return "the new refresh token is being saved, and the store has not answered yet"
	}
	return words
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
	switch {
	case errors.Is(err, store.ErrLocked):
		code = CodeLocked
	case errors.Is(err, store.ErrDamaged):
		code = CodeLoginRequired
	case errors.Is(err, store.ErrUnusable):
		code = CodeConfiguration
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
