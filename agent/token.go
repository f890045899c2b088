package agent

import (
	"context"
	"time"
)

// Token returns an ID token. Outside of the refresh margin that is a read of one
// pointer; the package comment says what happens inside of it.
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

// tokenProvider makes ID tokens from the session's sign-in.
type tokenProvider struct{ session *session }

// mandatoryWindow is the remaining life below which a request waits for a refresh
// instead of taking the token in memory, unless half the advisory window is shorter.
const mandatoryWindow = time.Minute

func (p tokenProvider) windows(cred *cachedCredential) (advisory, mandatory time.Duration) {
	advisory = cred.advisoryWindow(p.session.agent.view.Load().config.RefreshMargin)
	return advisory, min(mandatoryWindow, advisory/2)
}

func (p tokenProvider) refusalLocked() *Error { return p.session.unusableReasonLocked() }

// unusableReasonLocked returns why the sign-in yields nothing without a person, or nil
// if it may yield something. The caller holds mu.
func (s *session) unusableReasonLocked() *Error {
	if s.rejected != nil || s.loaded && s.signIn == nil {
		return s.unattendedRefusalLocked()
	}
	return nil
}

func (p tokenProvider) refresh(cred *cachedCredential) *Error {
	s := p.session
	if err := s.acquire(s.agent.ctx); err != nil {
		return s.wrap("refresh", err)
	}
	defer s.release()
	if now := s.token.current.Load(); now != nil && now != cred {
		return nil // a sign-in came first
	}
	ctx, cancel := context.WithTimeout(s.agent.ctx, refreshTimeout)
	defer cancel()
	err := s.refreshSignIn(ctx)
	if err != nil && err.Code == CodeLoginRequired {
		err = s.tryUnattended(ctx, err)
	}
	if err != nil && err.Code == CodeLoginRequired {
		s.markRejected(err)
	}
	return err
}

// recordLocked counts failures that may be temporary. The caller holds mu.
func (p tokenProvider) recordLocked(err *Error) {
	s := p.session
	if err != nil && s.signIn != nil { // without a sign-in nothing was refreshed
		s.refreshFailures++
	}
	switch {
	case err == nil:
		s.token.backoff = backoff{}
		s.refreshes++
	case err.Code == CodeLoginRequired || err.Code == CodeLocked || err.Op == opCredential && s.signIn == nil:
		// These have states of their own, and what the person does next must not be delayed.
		s.token.backoff = backoff{}
	default:
		s.token.backoff.recordFailure(err, s.agent.now())
	}
}

func (tokenProvider) messages() messages {
	return messages{
		op: "token", lifetime: "an ID token's life", pending: "the refresh at Cognito is still going on",
		logOp: "refresh", refreshed: "ID token refreshed", failed: "ID token not refreshed",
	}
}
