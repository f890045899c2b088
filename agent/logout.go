package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// revokeTimeout limits a logout's call to the provider, which is best effort.
const revokeTimeout = 5 * time.Second

// Logout deletes the sign-in of an environment and revokes it at the provider, as far as
// the scope says. If the provider cannot be reached, that is only logged; with
// LogoutAllDevices it is an error, after the sign-in was deleted here. A store that cannot
// delete is an error, because the record would come back with the next start. Logout goes
// on when ctx ends, so that it is never half done.
func (a *Agent) Logout(ctx context.Context, req LogoutRequest) error {
	s, err := a.session("logout", req.Environment)
	if err != nil {
		return err
	}
	switch req.Scope {
	case LogoutHere, LogoutLocal, LogoutAllDevices:
	default:
		return s.errorf("logout", CodeUsage, "unknown scope %q; there are: %s, %s", string(req.Scope), LogoutLocal, LogoutAllDevices)
	}
	done := make(chan error, 1)
	if !a.goTracked(func() { done <- s.logout(req.Scope) }) {
		return s.errorf("logout", CodeUnavailable, "the agent is stopping; try again")
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return s.wrap("logout", ctx.Err())
	}
}

func (s *session) logout(scope LogoutScope) error {
	s.clearCredentials() // no request gets this token from here on
	ctx := s.agent.ctx
	if err := s.acquire(ctx); err != nil {
		return s.errorf("logout", CodeUnavailable, "the agent is stopping; try again")
	}
	defer s.release()
	signIn := s.clearSignIn(ctx)
	first := s.loadFirstToken(ctx)
	revoked := s.revoke(ctx, signIn, scope)
	if scope != LogoutLocal {
		s.revokeFirstToken(ctx, first)
	}
	if err := s.deleteRecord(ctx); err != nil {
		return err
	}
	s.agent.log.Info("signed out", "op", "logout", "env", s.name, "scope", string(scope))
	return revoked
}

// deleteRecord deletes everything that the store holds of the session.
func (s *session) deleteRecord(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(store.WithPrompt(ctx), promptTimeout)
	defer cancel()
	err := s.agent.store.Delete(ctx, s.name)
	if err == nil {
		err = s.deleteFirstToken(ctx)
		s.saveRefusedStamp("")
	}
	if err != nil {
		e := s.storeError("logout", err)
		e.Message = "signed out, but the sign-in is still in the store: " + e.Message
		e.Hint = "fix that, then run again: kyc-agentd logout " + s.name
		return e
	}
	return nil
}

// clearSignIn removes the sign-in from memory and returns it, so that it can be revoked.
func (s *session) clearSignIn(ctx context.Context) *storedSignIn {
	s.mu.Lock()
	loaded, signIn := s.loaded, s.signIn
	s.mu.Unlock()
	if !loaded {
		signIn, _ = s.loadSignIn(ctx) // if it cannot be read, it cannot be revoked, but it can be deleted
	}
	s.clearCredentials()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signIn, s.loaded, s.unsaved, s.listedState = nil, true, false, StateAbsent
	s.rejected, s.token.backoff, s.saveBackoff = nil, backoff{}, backoff{}
	s.unattended = unattendedState{off: true}
	s.skew, s.refreshes, s.refreshFailures = 0, 0, 0
	return signIn
}

// revoke revokes signIn at the provider as far as scope says. A failure is an error with
// LogoutAllDevices only.
func (s *session) revoke(ctx context.Context, signIn *storedSignIn, scope LogoutScope) error {
	env := s.environment()
	if signIn == nil || scope == LogoutLocal || !signIn.apiKey.IsZero() || !signIn.belongsTo(env) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	var err error
	if scope == LogoutAllDevices {
		latest := signIn.issued
		err = s.agent.auth.RevokeAll(ctx, env, latest, func(rotated SignIn) { latest = rotated })
	} else {
		err = s.agent.auth.Revoke(ctx, env, signIn.issued)
	}
	if err == nil {
		return nil
	}
	e := s.wrap("logout", err)
	s.agent.log.Warn("signed out here, but not revoked at Cognito", "op", "logout", "env", s.name, "code", string(e.Code), "error", e.Error())
	if scope != LogoutAllDevices {
		return nil
	}
	e.Message = "signed out here, but not elsewhere: " + e.Message
	return e
}

// revokeFirstToken revokes the sign-in by its first refresh token as well: if the live one
// was lost, the first is the only one that Cognito still accepts.
func (s *session) revokeFirstToken(ctx context.Context, first *storedSignIn) {
	env := s.environment()
	if first == nil || !first.belongsTo(env) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if err := s.agent.auth.Revoke(ctx, env, first.issued); err != nil {
		s.agent.log.Debug("cannot revoke the first refresh token", "op", "logout", "env", s.name, "error", s.wrap("logout", err))
	}
}
