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
	cred, err := s.token.get(ctx, req.MinValid)
	if err != nil {
		return Token{}, err
	}
	now := a.now()
	t := Token{Environment: s.name, IDToken: cred.token, APIURL: *s.url.Load(), Warning: cred.signInExpiry.warning(s.name, now)}
	if !cred.neverExpires {
		t.ExpiresAt = now.Add(cred.left(now))
	}
	return t, nil
}

// tokenProvider is the source of the ID token.
type tokenProvider struct{ session *session }

// mandatoryWindow is the life below which a request waits for a refresh instead of
// taking the token in memory, unless half the margin is shorter.
const mandatoryWindow = time.Minute

func (p tokenProvider) windows(cred *cachedCredential) (ahead, short time.Duration) {
	ahead = cred.advisoryWindow(p.session.agent.view.Load().config.RefreshMargin)
	return ahead, min(mandatoryWindow, ahead/2)
}

func (p tokenProvider) refusalLocked() *Error { return p.session.unusableReasonLocked() }

// unusableReasonLocked says why the sign-in yields nothing without a person, or is nil when it
// may. The caller holds mu.
func (s *session) unusableReasonLocked() *Error {
	if s.rejected != nil || s.loaded && s.signIn == nil {
		return s.unattendedRefusalLocked()
	}
	return nil
}

func (p tokenProvider) refresh(cred *cachedCredential) *Error { return p.session.refreshInTurn(cred) }

func (tokenProvider) messages() messages {
	return messages{
		op: "token", lifetime: "an ID token's life", pending: "the refresh at Cognito is still going on",
		logOp: "refresh", refreshed: "ID token refreshed", failed: "no refresh",
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
