package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// Login signs in. The password goes to the provider and is kept nowhere.
func (a *Agent) Login(ctx context.Context, req LoginRequest, ask Prompter) error {
	s, err := a.session("login", req.Environment)
	if err != nil {
		return err
	}
	if err := s.checkLogin(req); err != nil {
		return err
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

// apiKeyPrefix begins every service key of the KYC API.
const apiKeyPrefix = "sk_"

func (s *session) checkLogin(req LoginRequest) error {
	key := req.APIKey.Reveal()
	switch {
	case key == "" && (req.Username == "" || req.Password.IsZero() && !s.environment().AuthFlow.open()):
		return s.errorf("login", CodeUsage, "a sign-in needs a user name and a password")
	case key == "":
		return nil
	case req.Username != "" || !req.Password.IsZero():
		return s.errorf("login", CodeUsage, "an API key takes the place of user name and password; give one or the other")
	case !strings.HasPrefix(key, apiKeyPrefix) || len(key) == len(apiKeyPrefix) || len(key) > maxAPIKey || strings.ContainsFunc(key, notInAPIKey):
		return s.errorf("login", CodeUsage, "that is no API key: they begin with %s, and have letters, digits, '_', '-' and '.'", apiKeyPrefix)
	}
	return nil
}

const maxAPIKey = 512

func notInAPIKey(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.", r))
}

func (s *session) login(ctx context.Context, req LoginRequest, ask Prompter) error {
	ctx, over := s.supersede(ctx)
	defer over()
	s.mu.Lock()
	env, epoch := s.env, s.epoch
	if s.kept != nil {
		req.Device = s.kept.Device
	}
	s.mu.Unlock()
	if !req.APIKey.IsZero() {
		h := newEndless(req.APIKey, s.a.now(), time.Now())
		return s.settleIn(ctx, &kept{SignIn: SignIn{SignedInAt: h.wall}, apiKey: req.APIKey}, h, 0, epoch)
	}
	req.Environment = s.name
	g, err := s.a.auth.Login(ctx, env, req, ask)
	if err != nil {
		if context.Cause(ctx) == errSuperseded {
			return s.errorf("login", CodeUnavailable, "another sign-in was begun elsewhere, and this one ended")
		}
		return err
	}
	k, h := s.granted(env, g)
	return s.settleIn(ctx, k, h, g.Skew, epoch)
}

var errSuperseded = errors.New("superseded")

// supersede ends the sign-in that is going on, if there is one: of two, the person
// is at the later.
func (s *session) supersede(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &cancel
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ongoing != nil {
		(*s.ongoing)(errSuperseded)
	}
	s.ongoing = mine
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ongoing == mine {
			s.ongoing = nil
		}
	}
}

// granted is what a complete sign-in yields.
func (s *session) granted(env Environment, g AuthResult) (*kept, *held) {
	h := newHeld(g, s.a.now(), time.Now(), s.a.view.Load().config.RefreshMargin)
	k := &kept{SignIn: g.SignIn, issuer: env.IssuerURL(), clientID: env.ClientID}
	if k.SignedInAt.IsZero() {
		k.SignedInAt = h.wall
	}
	h.end = endOf(k, env)
	return k, h
}

// settleIn puts a new sign-in in the place of what was there, once a refresh in hand
// has ended. From here on there is a sign-in to lose, so it is the agent's work and
// not the caller's, who may be gone.
func (s *session) settleIn(ctx context.Context, k *kept, h *held, skew time.Duration, epoch int) error {
	done := make(chan error, 1)
	begun := s.a.begin(func() {
		err := s.take(s.a.life)
		if err == nil {
			defer s.give()
			s.install(store.WithPrompt(ctx), k, h, skew, epoch)
		}
		done <- err
	})
	if !begun || <-done != nil {
		return s.errorf("login", CodeUnavailable, "the agent is stopping; try again")
	}
	return nil
}

// install is settleIn for whoever has the turn.
func (s *session) install(ctx context.Context, k *kept, h *held, skew time.Duration, epoch int) {
	old, first := s.replaced(ctx)
	s.replace(k)
	s.save(ctx)
	s.publish(h, skew, epoch)
	s.a.nudge()
	s.retire(old, first)
}

// replaced is the sign-in that a new one takes the place of, with its first refresh
// token; both may be nil.
func (s *session) replaced(ctx context.Context) (old, first *kept) {
	s.mu.Lock()
	known, old := s.known, s.kept
	s.mu.Unlock()
	if !known {
		old, _ = s.load(ctx)
	}
	if old == nil {
		return nil, nil
	}
	return old, s.origin(ctx)
}

// retire ends a replaced sign-in at the provider, beside everything else: out of our
// hands its refresh tokens would work for weeks, and no logout would reach them. While
// the new one is not saved the old one is all that a crash would leave.
func (s *session) retire(old, first *kept) {
	s.mu.Lock()
	unsaved := s.unsaved
	s.mu.Unlock()
	if old == nil || unsaved {
		return
	}
	s.a.begin(func() {
		_ = s.revoke(s.a.life, old, LogoutHere)
		s.revokeFirst(s.a.life, first)
	})
}

// replace puts a new sign-in in memory, where no trouble of the old one counts.
func (s *session) replace(k *kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.generation = 1
	if s.kept != nil {
		k.generation = s.kept.generation + 1
	}
	k.first = k.generation
	s.kept, s.known, s.unsaved = k, true, true
	s.rejected, s.fail, s.saveFail, s.refreshes, s.refreshFailures = nil, failure{}, failure{}, 0, 0
	s.alone = lone{}
	s.dropAWSLocked()
}
