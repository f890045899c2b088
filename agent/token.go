package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Token returns an ID token. While more than the margin of it is left, that is a
// read of one pointer; see the package comment for the rest.
func (a *Agent) Token(ctx context.Context, req TokenRequest) (Token, error) {
	s, err := a.session("token", req.Environment)
	if err != nil {
		return Token{}, err
	}
	if req.MinValid < 0 {
		return Token{}, s.errorf("token", CodeUsage, "min_valid %s is below zero", req.MinValid)
	}
	now := a.now()
	h := s.held.Load()
	s.touch(h, now)
	if h != nil && h.left(now) > s.margin(h) && h.left(now) >= req.MinValid {
		return s.token(h, now), nil
	}
	return s.tokenSoon(ctx, h, req.MinValid)
}

// tokenSoon answers a request that finds h inside the margin, dead, or nil. It
// starts the refresh, and waits for it only when h cannot serve meanwhile.
func (s *session) tokenSoon(ctx context.Context, h *held, minValid time.Duration) (Token, error) {
	now := s.a.now()
	if err := s.beyond(h, now, minValid); err != nil {
		return Token{}, err
	}
	f, failed := s.join(h, true)
	if h != nil && h.left(now) >= max(minValid, min(shortLeft, s.margin(h)/2)) {
		return s.token(h, now), nil
	}
	if f != nil {
		failed = f.wait(ctx, s)
	}
	return s.settle(minValid, failed)
}

// settle answers with what memory holds after a refresh ended or was not to be had.
func (s *session) settle(minValid time.Duration, failed *Error) (Token, error) {
	now, h := s.a.now(), s.held.Load()
	if h.usable(now, minValid) {
		s.touch(h, now)
		return s.token(h, now), nil
	}
	if failed != nil {
		return Token{}, failed
	}
	if err := s.beyond(h, now, minValid); err != nil {
		return Token{}, err
	}
	// The sign-in went away, or the configuration changed, while we waited.
	return Token{}, s.notSignedIn("token")
}

// beyond refuses a min_valid that no token of this environment can meet, so that
// asking for it over and over costs no calls.
func (s *session) beyond(h *held, now time.Time, minValid time.Duration) error {
	if h == nil || minValid <= h.left(now) || minValid <= h.lifetime && !h.young(now) {
		return nil
	}
	return s.errorf("token", CodeUsage, "min_valid %s is more than an ID token's life of %s; ask for less",
		minValid, h.lifetime)
}

func (s *session) token(h *held, now time.Time) Token {
	t := Token{Environment: s.name, IDToken: h.token, APIURL: *s.url.Load(), Warning: h.end.warning(s.name, now)}
	if !h.endless {
		t.ExpiresAt = now.Add(h.left(now))
	}
	return t
}

// A flight is one refresh, shared by all who wait for it.
type flight struct {
	replaces *held // the token in memory when it was started
	done     chan struct{}
	err      *Error // read after done is closed
}

// wait returns the flight's error, or one that says that ctx ended first. The
// flight goes on regardless.
func (f *flight) wait(ctx context.Context, s *session) *Error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		e := s.errorf("token", CodeUnavailable, "the refresh at Cognito is still going on; try again")
		e.RetryAfter = time.Second
		e.Err = ctx.Err()
		return e
	}
}

// join returns the refresh going on, or starts one to replace h, the token the
// caller saw; where h was replaced meanwhile there is nothing to wait for, and both
// results are nil. asked says that a request wants it, rather than the scheduler.
// Where no refresh is to be had it says why.
func (s *session) join(h *held, asked bool) (*flight, *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.flight != nil:
		return s.flight, nil
	case s.held.Load() != h && s.held.Load() != nil:
		return nil, nil
	case s.rejected != nil || s.known && s.kept == nil:
		if err := s.loneRefusalLocked(); err != nil {
			return nil, err
		}
	}
	if pause := s.fail.wait(s.a.now(), asked); pause > 0 {
		return nil, s.fail.again(pause)
	}
	f := &flight{replaces: h, done: make(chan struct{})}
	if !s.a.begin(func() { s.fly(f) }) {
		return nil, s.errorf("token", CodeUnavailable, "the agent is stopping; try again")
	}
	s.flight = f
	return f, nil
}

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
