package agent

import (
	"context"
	"errors"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

// Token returns an ID token. Outside of the refresh margin that is a read of one
// pointer; the package comment says what happens inside of it.
func (a *Agent) Token(ctx context.Context, req TokenRequest) (Token, error) {
	s, err := a.session("token", req.Environment)
	if err != nil {
		return Token{}, err
	}
	if err := s.checkType(req.Type); err != nil {
		return Token{}, err
	}
	found, err := s.token.get(ctx, req.MinValid)
	if err != nil {
		return Token{}, err
	}
	cred := found.cred
	if err := s.checkUser("token", req.User, cred); err != nil {
		return Token{}, err
	}
	t := Token{
		Environment: s.name, IDToken: cred.token, User: cred.user, Subject: cred.subject,
		APIURL: *s.url.Load(), Warning: cred.signInExpiry.warning(s.name, found.at), Rendered: &cred.rendered,
	}
	if req.Type == TypeAccess {
		t.Rendered = nil
		if t.AccessToken = cred.access; t.AccessToken.IsZero() {
			return Token{}, s.errorf("token", CodeDenied, "there is no access token with this sign-in")
		}
	}
	if !cred.neverExpires {
		t.ExpiresAt = found.end()
	}
	return t, nil
}

// checkType refuses a token that the environment does not hand out.
func (s *session) checkType(t TokenType) error {
	switch {
	case t == TypeID, t == TypeAccess && s.environment().HandOutAccessTokens:
		return nil
	case t == TypeAccess:
		e := s.errorf("token", CodeDenied, "access tokens, which can change the account, are not handed out")
		e.Hint = "set hand_out_access_tokens = true in [environments." + s.name + "] of config.toml, then run: kyc-agentd reload"
		return e
	}
	return s.errorf("token", CodeUsage, "unknown type of token %q; there is: %s", sanitize.Cut(string(t), maxQuoted), TypeAccess)
}

// checkUser refuses a credential of another user than the one that the request names.
func (s *session) checkUser(op, user string, cred *cachedCredential) error {
	wanted := sanitize.Cut(user, maxQuoted)
	switch {
	case user == "" || user == cred.user || user == cred.username || user == cred.subject:
		return nil
	case cred.neverExpires:
		e := s.errorf(op, CodeDenied, "an API key is stored, which names no user, and %q was asked for", wanted)
		e.Hint = s.loginHint()
		return e
	}
	e := s.errorf(op, CodeDenied, "signed in as %q, and %q was asked for", cred.user, wanted)
	e.Hint = s.loginHint()
	return e
}

// tokenProvider makes ID tokens from the session's sign-in.
type tokenProvider struct{ session *session }

// mandatoryWindow is the remaining life below which a request waits for a refresh
// instead of taking the token in memory, unless half the advisory window is shorter.
const mandatoryWindow = time.Minute

func (p tokenProvider) windows(cred *cachedCredential) (advisory, mandatory time.Duration) {
	advisory = cred.advisoryWindow(p.session.agent.view.Load().config.RefreshMargin)
	return advisory - cred.delay, min(mandatoryWindow, advisory/2)
}

func (p tokenProvider) refusalLocked() *Error { return p.session.unusableReasonLocked() }

// unusableReasonLocked returns why the sign-in yields nothing without a person, or nil
// if it may yield something. The caller holds mu.
func (s *session) unusableReasonLocked() *Error {
	if s.signingOut {
		return s.notSignedIn("token")
	}
	if !s.unusableLocked() {
		return nil
	}
	since := s.agent.now().Sub(s.checkedAt)
	if recheck := since < 0 || since >= recheckInterval; recheck && !s.record.pendingLocked() {
		return nil
	}
	return s.unattendedRefusalLocked()
}

func (p tokenProvider) unaskedDue(now time.Time) (pause time.Duration, due bool) {
	return p.session.unaskedDue(now)
}

// refresh starts again if the configuration changed while it ran, and gives up if a login or a
// logout did what it was for.
func (p tokenProvider) refresh(replaces *cachedCredential) *Error {
	s := p.session
	for {
		s.mu.Lock()
		epoch, lineage := s.epoch, s.lineage
		s.mu.Unlock()
		var err *Error
		if s.agent.fleet != nil {
			err = s.refreshShared(replaces)
		} else if err = s.refreshSignIn(); err != nil && needsSignIn(err) && !s.changedSince(epoch, lineage) {
			err = s.tryUnattended(lineage, err)
		}
		s.mu.Lock()
		moved := s.epoch != epoch && s.lineage == lineage && s.agent.ctx.Err() == nil
		s.mu.Unlock()
		if !moved {
			return err
		}
	}
}

// needsSignIn reports whether another sign-in would help after err: there is none, or it was
// refused, or the store cannot read it.
func needsSignIn(err *Error) bool {
	return err.Code == CodeLoginRequired || errors.Is(err, store.ErrUnusable)
}

// recordLocked counts failures that may be temporary. The caller holds mu.
func (p tokenProvider) recordLocked(err *Error) {
	s := p.session
	s.nextUnasked = s.agent.now().Add(backoffMin)
	if err != nil && err.repeated {
		return
	}
	if err != nil && s.signIn != nil { // without a sign-in nothing was refreshed
		s.refreshFailures++
	}
	switch {
	case err == nil:
		s.token.backoff = backoff{}
		s.unattended.err, s.rescueUntil = nil, time.Time{}
		s.refreshes++
	case err.Code == CodeLoginRequired || err.Code == CodeLocked || err.Op == opCredential || err.Op == opUnattended:
		// These have states of their own, and what the person does next must not be delayed.
		s.token.backoff = backoff{}
	default:
		s.token.backoff.recordFailure(err, s.agent.now())
		if errors.Is(err, ErrNoAnswer) {
			s.token.backoff.promptUntil = s.rescueUntil
		}
	}
}

func (tokenProvider) messages() messages {
	return messages{
		op: "token", lifetime: "an ID token's life", pending: "the refresh at Cognito is still going on",
		logOp: "refresh", refreshed: "ID token refreshed", failed: "ID token not refreshed",
	}
}
