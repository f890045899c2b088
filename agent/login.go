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
	case key == "" && (req.Username == "" || req.Password.IsZero() && !s.environment().AuthFlow.passwordless()):
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
	if s.signIn != nil {
		req.Device = s.signIn.issued.Device
	}
	s.mu.Unlock()
	if !req.APIKey.IsZero() {
		cred := newCachedAPIKey(req.APIKey, s.agent.now(), time.Now())
		return s.commitSignIn(ctx, &storedSignIn{issued: SignIn{SignedInAt: cred.requestedWall}, apiKey: req.APIKey}, cred, 0, epoch)
	}
	req.Environment = s.name
	res, err := s.agent.auth.Login(ctx, env, req, ask)
	if err != nil {
		if context.Cause(ctx) == errSuperseded {
			return s.errorf("login", CodeUnavailable, "another sign-in was begun elsewhere, and this one ended")
		}
		return err
	}
	signIn, cred := s.newSignIn(env, res)
	return s.commitSignIn(ctx, signIn, cred, res.Skew, epoch)
}

var errSuperseded = errors.New("superseded")

// supersede ends the sign-in that is going on, if there is one: of two, the person
// is at the later.
func (s *session) supersede(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &cancel
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelLogin != nil {
		(*s.cancelLogin)(errSuperseded)
	}
	s.cancelLogin = mine
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.cancelLogin == mine {
			s.cancelLogin = nil
		}
	}
}

// newSignIn is what a complete sign-in yields.
func (s *session) newSignIn(env Environment, res AuthResult) (*storedSignIn, *cachedCredential) {
	cred := newCachedToken(res, s.agent.now(), time.Now(), s.agent.view.Load().config.RefreshMargin)
	signIn := &storedSignIn{issued: res.SignIn, issuer: env.IssuerURL(), clientID: env.ClientID}
	if signIn.issued.SignedInAt.IsZero() {
		signIn.issued.SignedInAt = cred.requestedWall
	}
	cred.signInExpiry = expiryOf(signIn, env)
	return signIn, cred
}

// commitSignIn puts a new sign-in in the place of what was there, once a refresh in hand
// has ended. From here on there is a sign-in to lose, so it is the agent's work and
// not the caller's, who may be gone.
func (s *session) commitSignIn(ctx context.Context, signIn *storedSignIn, cred *cachedCredential, skew time.Duration, epoch int) error {
	done := make(chan error, 1)
	begun := s.agent.goTracked(func() {
		err := s.acquire(s.agent.ctx)
		if err == nil {
			defer s.release()
			s.adopt(store.WithPrompt(ctx), signIn, cred, skew, epoch)
		}
		done <- err
	})
	if !begun || <-done != nil {
		return s.errorf("login", CodeUnavailable, "the agent is stopping; try again")
	}
	return nil
}

// adopt is settleIn for whoever has the turn.
func (s *session) adopt(ctx context.Context, signIn *storedSignIn, cred *cachedCredential, skew time.Duration, epoch int) {
	old, first := s.previous(ctx)
	s.setSignIn(signIn)
	s.save(ctx)
	s.publish(cred, skew, epoch)
	s.agent.wakeScheduler()
	s.revokeReplaced(old, first)
}

// previous is the sign-in that a new one takes the place of, with its first refresh
// token; both may be nil.
func (s *session) previous(ctx context.Context) (old, first *storedSignIn) {
	s.mu.Lock()
	known, old := s.loaded, s.signIn
	s.mu.Unlock()
	if !known {
		old, _ = s.loadSignIn(ctx)
	}
	if old == nil {
		return nil, nil
	}
	return old, s.loadFirstToken(ctx)
}

// revokeReplaced ends a replaced sign-in at the provider, beside everything else: out of our
// hands its refresh tokens would work for weeks, and no logout would reach them. While
// the new one is not saved the old one is all that a crash would leave.
func (s *session) revokeReplaced(old, first *storedSignIn) {
	s.mu.Lock()
	unsaved := s.unsaved
	s.mu.Unlock()
	if old == nil || unsaved {
		return
	}
	s.agent.goTracked(func() {
		_ = s.revoke(s.agent.ctx, old, LogoutHere)
		s.revokeFirstToken(s.agent.ctx, first)
	})
}

// setSignIn puts a new sign-in in memory, where no trouble of the old one counts.
func (s *session) setSignIn(signIn *storedSignIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signIn.generation = 1
	if s.signIn != nil {
		signIn.generation = s.signIn.generation + 1
	}
	signIn.firstGeneration = signIn.generation
	s.signIn, s.loaded, s.unsaved = signIn, true, true
	s.rejected, s.token.backoff, s.saveBackoff, s.refreshes, s.refreshFailures = nil, backoff{}, backoff{}, 0, 0
	s.unattended = unattendedState{}
	s.clearAWSLocked()
}
