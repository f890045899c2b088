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
	if !a.begin(func() { done <- s.logout(req.Scope) }) {
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
	s.drop() // nobody gets this token from here on
	ctx := s.a.life
	if err := s.take(ctx); err != nil {
		return s.errorf("logout", CodeUnavailable, "the agent is stopping; try again")
	}
	defer s.give()
	k := s.forget(ctx)
	first := s.origin(ctx)
	revoked := s.revoke(ctx, k, scope)
	if scope != LogoutLocal {
		s.revokeFirst(ctx, first)
	}
	if err := s.erase(ctx); err != nil {
		return err
	}
	s.a.log.Info("signed out", "op", "logout", "env", s.name, "scope", string(scope))
	return revoked
}

// erase deletes what the store has of the session.
func (s *session) erase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(store.WithPrompt(ctx), promptTimeout)
	defer cancel()
	err := s.a.store.Delete(ctx, s.name)
	if err == nil {
		err = s.dropOrigin(ctx)
		s.keepRefused("")
	}
	if err != nil {
		e := s.storeError("logout", err)
		e.Message = "forgotten, but still in the store: " + e.Message
		e.Hint = "mend that, then run again: kyc-agentd logout " + s.name
		return e
	}
	return nil
}

// forget empties memory and returns what was kept, so that it can be revoked.
func (s *session) forget(ctx context.Context) *kept {
	s.mu.Lock()
	known, k := s.known, s.kept
	s.mu.Unlock()
	if !known {
		k, _ = s.load(ctx) // unreadable: nothing to revoke, all the more to delete
	}
	s.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept, s.known, s.unsaved, s.hint = nil, true, false, StateAbsent
	s.rejected, s.fail, s.saveFail = nil, failure{}, failure{}
	s.alone = lone{off: true}
	s.skew, s.refreshes, s.refreshFailures = 0, 0, 0
	return k
}

// revoke ends k at the provider as far as scope goes. Only where everything was to
// end is a failure an error.
func (s *session) revoke(ctx context.Context, k *kept, scope LogoutScope) error {
	env := s.environment()
	if k == nil || scope == LogoutLocal || !k.apiKey.IsZero() || !k.belongs(env) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	var err error
	if scope == LogoutAllDevices {
		latest := k.SignIn
		err = s.a.auth.RevokeAll(ctx, env, latest, func(rotated SignIn) { latest = rotated })
	} else {
		err = s.a.auth.Revoke(ctx, env, k.SignIn)
	}
	if err == nil {
		return nil
	}
	e := s.wrap("logout", err)
	s.a.log.Warn("forgotten here, but not revoked at Cognito", "op", "logout", "env", s.name, "code", string(e.Code), "error", e.Error())
	if scope != LogoutAllDevices {
		return nil
	}
	e.Message = "signed out here, but not elsewhere: " + e.Message
	return e
}

// revokeFirst ends the sign-in by its first refresh token as well: the live one may
// have been lost, and then this is the only one Cognito still takes.
func (s *session) revokeFirst(ctx context.Context, first *kept) {
	env := s.environment()
	if first == nil || !first.belongs(env) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if err := s.a.auth.Revoke(ctx, env, first.SignIn); err != nil {
		s.a.log.Debug("the first refresh token was not revoked", "op", "logout", "env", s.name, "error", s.wrap("logout", err))
	}
}
