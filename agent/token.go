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
	h, err := s.get(ctx, req.MinValid)
	if err != nil {
		return Token{}, err
	}
	return s.token(h, a.now()), nil
}

func (s *session) token(h *held, now time.Time) Token {
	t := Token{Environment: s.name, IDToken: h.token, APIURL: *s.url.Load(), Warning: h.end.warning(s.name, now)}
	if !h.endless {
		t.ExpiresAt = now.Add(h.left(now))
	}
	return t
}

// fromSignIn is the source of the ID token.
type fromSignIn struct{ *session }

// shortLeft is the life below which a request waits for a refresh instead of
// taking the token in memory, unless half the margin is shorter.
const shortLeft = time.Minute

func (s fromSignIn) margins(h *held) (ahead, short time.Duration) {
	ahead = h.margin(s.a.view.Load().config.RefreshMargin)
	return ahead, min(shortLeft, ahead/2)
}

func (s fromSignIn) refusalLocked() *Error { return s.uselessLocked() }

// uselessLocked says why the sign-in yields nothing without a person, or is nil when it
// may. The caller holds mu.
func (s *session) uselessLocked() *Error {
	if s.rejected != nil || s.known && s.kept == nil {
		return s.loneRefusalLocked()
	}
	return nil
}

func (s fromSignIn) renew(h *held) *Error { return s.refreshInTurn(h) }

func (fromSignIn) words() words {
	return words{
		op: "token", life: "an ID token's life", going: "the refresh at Cognito is still going on",
		logOp: "refresh", renewed: "ID token refreshed", failed: "no refresh",
	}
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
