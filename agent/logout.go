package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// revokeTimeout bounds the courtesy call of a logout.
const revokeTimeout = 5 * time.Second

// Logout forgets the sign-in of an environment and revokes it at the provider. A
// provider that cannot be reached is logged; a store that cannot delete is an
// error, for the record would come back with the next start. It goes on when ctx
// ends, so that it is never half done.
func (a *Agent) Logout(ctx context.Context, environment string) error {
	s, err := a.session("logout", environment)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	if !a.begin(func() { done <- s.logout() }) {
		return s.errorf("logout", CodeUnavailable, "the agent is stopping; try again")
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return s.wrap("logout", ctx.Err())
	}
}

func (s *session) logout() error {
	s.held.Store(nil) // nobody gets this token from here on
	ctx := s.a.life
	if err := s.take(ctx); err != nil {
		return s.errorf("logout", CodeUnavailable, "the agent is stopping; try again")
	}
	defer s.give()
	k := s.forget(ctx)
	s.revoke(ctx, k)
	ctx, cancel := context.WithTimeout(store.WithPrompt(ctx), promptTimeout)
	defer cancel()
	if err := s.a.store.Delete(ctx, s.name); err != nil {
		e := s.storeError("logout", err)
		e.Message = "revoked, but still in the store: " + e.Message
		e.Hint = "mend that, then run again: kyc-agentd logout " + s.name
		return e
	}
	s.a.log.Info("signed out", "op", "logout", "env", s.name)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.Store(nil)
	s.kept, s.known, s.unsaved, s.hint = nil, true, false, StateAbsent
	s.rejected, s.fail, s.saveFail = nil, failure{}, failure{}
	s.skew, s.refreshes = 0, 0
	return k
}

func (s *session) revoke(ctx context.Context, k *kept) {
	env := s.environment()
	if k == nil || k.issuer != env.IssuerURL() || k.clientID != env.ClientID {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if err := s.a.auth.Revoke(ctx, env, k.Sealed); err != nil {
		e := s.wrap("logout", err)
		s.a.log.Warn("forgotten here, but not revoked at Cognito", "op", "logout", "env", s.name, "code", string(e.Code), "error", e.Error())
	}
}
