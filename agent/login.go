package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// Login signs in. The password goes to the provider and is kept nowhere.
func (a *Agent) Login(ctx context.Context, req LoginRequest, ask Asker) error {
	s, err := a.session("login", req.Environment)
	if err != nil {
		return err
	}
	if req.Username == "" || req.Password.IsZero() {
		return s.errorf("login", CodeUsage, "a sign-in needs a user name and a password")
	}
	started := time.Now()
	err = s.login(ctx, req, ask)
	log := a.log.With("op", "login", "env", s.name, "duration", time.Since(started).Round(time.Millisecond))
	if err != nil {
		e := s.wrap("login", err)
		log.Warn("not signed in", "code", string(e.Code), "error", e.Error(), "cause", causeOf(e))
		return e
	}
	log.Info("signed in")
	return nil
}

func (s *session) login(ctx context.Context, req LoginRequest, ask Asker) error {
	s.mu.Lock()
	env, epoch := s.env, s.epoch
	s.mu.Unlock()
	req.Environment = s.name
	g, err := s.a.auth.Login(ctx, env, req, ask)
	if err != nil {
		return err
	}
	// From here on there is a sign-in to lose: the rest is the agent's work, not the
	// caller's, who may be gone.
	h := newHeld(g, s.a.now(), time.Now(), s.a.view.Load().config.RefreshMargin)
	done := make(chan error, 1)
	if !s.a.begin(func() { done <- s.settleIn(store.WithPrompt(ctx), env, epoch, g, h) }) {
		return s.errorf("login", CodeUnavailable, "the agent is stopping; try again")
	}
	return <-done
}

// settleIn puts a new sign-in in the place of what was there, once a refresh in
// hand has ended.
func (s *session) settleIn(ctx context.Context, env Environment, epoch int, g Grant, h *held) error {
	if err := s.take(s.a.life); err != nil {
		return s.errorf("login", CodeUnavailable, "the agent is stopping; try again")
	}
	defer s.give()
	if g.Sealed.SignedInAt.IsZero() {
		g.Sealed.SignedInAt = h.wall
	}
	s.replace(&kept{
		Sealed: g.Sealed, issuer: env.IssuerURL(), clientID: env.ClientID,
		generation: s.generation() + 1,
	})
	s.save(ctx)
	s.publish(h, g.Skew, epoch)
	s.a.nudge()
	return nil
}

// replace puts a new sign-in in memory, where no trouble of the old one counts.
func (s *session) replace(k *kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept, s.known, s.unsaved = k, true, true
	s.rejected, s.fail, s.saveFail, s.refreshes = nil, failure{}, failure{}, 0
}

func (s *session) generation() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		return 0
	}
	return s.kept.generation
}
