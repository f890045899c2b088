package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// revokeTimeout bounds the courtesy call of a logout.
const revokeTimeout = 5 * time.Second

// Logout forgets the sign-in of an environment and revokes it at the provider, as
// far as the scope goes. A provider that cannot be reached is logged; where all of
// the user's sign-ins should have ended it is an error, after all is forgotten here.
// A store that cannot delete is an error, for the record would come back with the
// next start. Logout goes on when ctx ends, so that it is never half done.
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
	s.clearCredentials() // nobody gets this token from here on
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

// deleteRecord deletes what the store has of the session.
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
		e.Message = "forgotten, but still in the store: " + e.Message
		e.Hint = "mend that, then run again: kyc-agentd logout " + s.name
		return e
	}
	return nil
}

// clearSignIn empties memory and returns what was kept, so that it can be revoked.
func (s *session) clearSignIn(ctx context.Context) *storedSignIn {
	s.mu.Lock()
	known, signIn := s.loaded, s.signIn
	s.mu.Unlock()
	if !known {
		signIn, _ = s.loadSignIn(ctx) // unreadable: nothing to revoke, all the more to delete
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

// revoke ends signIn at the provider as far as scope goes. Only where everything was to
// end is a failure an error.
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
	s.agent.log.Warn("forgotten here, but not revoked at Cognito", "op", "logout", "env", s.name, "code", string(e.Code), "error", e.Error())
	if scope != LogoutAllDevices {
		return nil
	}
	e.Message = "signed out here, but not elsewhere: " + e.Message
	return e
}

// revokeFirstToken ends the sign-in by its first refresh token as well: the live one may
// have been lost, and then this is the only one Cognito still takes.
func (s *session) revokeFirstToken(ctx context.Context, first *storedSignIn) {
	env := s.environment()
	if first == nil || !first.belongsTo(env) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if err := s.agent.auth.Revoke(ctx, env, first.issued); err != nil {
		s.agent.log.Debug("the first refresh token was not revoked", "op", "logout", "env", s.name, "error", s.wrap("logout", err))
	}
}
