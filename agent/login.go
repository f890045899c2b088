package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// Login signs in. The password goes to the provider and is stored nowhere.
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
		return s.errorf("login", CodeUsage, "an API key replaces user name and password; give one or the other")
	case !strings.HasPrefix(key, apiKeyPrefix) || len(key) == len(apiKeyPrefix) || len(key) > maxAPIKey || strings.ContainsFunc(key, notInAPIKey):
		return s.errorf("login", CodeUsage, "this is no API key: keys begin with %s and consist of letters, digits, '_', '-' and '.'", apiKeyPrefix)
	}
	return nil
}

const maxAPIKey = 512

func notInAPIKey(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.", r))
}

func (s *session) login(ctx context.Context, req LoginRequest, ask Prompter) error {
	ctx, done := s.supersede(ctx)
	defer done()
	s.mu.Lock()
	env, epoch := s.env, s.epoch
	if s.signIn != nil {
		req.Device = s.signIn.issued.Device
	}
	s.mu.Unlock()
	if !req.APIKey.IsZero() {
		token := newCachedAPIKey(req.APIKey, s.agent.now(), time.Now())
		return s.commitSignIn(ctx, loginResult{
			signIn: &storedSignIn{issued: SignIn{SignedInAt: token.requestedWall}, apiKey: req.APIKey},
			token:  token, epoch: epoch,
		})
	}
	req.Environment = s.name
	res, err := s.agent.auth.Login(ctx, env, req, ask)
	if err != nil {
		if context.Cause(ctx) == errSuperseded {
			return s.errorf("login", CodeUnavailable, "another sign-in was started and ended this one")
		}
		return err
	}
	return s.commitSignIn(ctx, s.newLoginResult(env, epoch, res))
}

var errSuperseded = errors.New("superseded")

// supersede cancels the login in progress, if there is one: if two are in progress, the
// person is using the newer one. The caller calls done when its login ended.
func (s *session) supersede(ctx context.Context) (_ context.Context, done func()) {
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

// A loginResult is a complete sign-in and the ID token that came with it.
type loginResult struct {
	signIn *storedSignIn
	token  *cachedCredential
	skew   time.Duration
	epoch  int // the session's, when the sign-in began
}

func (s *session) newLoginResult(env Environment, epoch int, res AuthResult) loginResult {
	token := newCachedToken(res, s.agent.now(), time.Now(), s.agent.view.Load().config.RefreshMargin)
	signIn := &storedSignIn{issued: res.SignIn, issuer: env.IssuerURL(), clientID: env.ClientID}
	if signIn.issued.SignedInAt.IsZero() {
		signIn.issued.SignedInAt = token.requestedWall
	}
	token.signInExpiry = expiryOf(signIn, env)
	return loginResult{signIn: signIn, token: token, skew: res.Skew, epoch: epoch}
}

// commitSignIn replaces the sign-in by a new one, after a refresh in progress has ended.
// From here on there is a sign-in to lose, so the agent does this on its own: the caller may
// be gone.
func (s *session) commitSignIn(ctx context.Context, res loginResult) error {
	done := make(chan error, 1)
	started := s.agent.goTracked(func() {
		err := s.acquire(s.agent.ctx)
		if err == nil {
			defer s.release()
			s.adopt(store.WithPrompt(ctx), res)
		}
		done <- err
	})
	if !started || <-done != nil {
		return s.errorf("login", CodeUnavailable, "the agent is stopping; try again")
	}
	return nil
}

// adopt saves and publishes a new sign-in and revokes the one it replaces. The caller holds
// the write lock.
func (s *session) adopt(ctx context.Context, res loginResult) {
	s.mu.Lock()
	loaded, previous := s.loaded, s.signIn
	s.mu.Unlock()
	if !loaded {
		previous, _ = s.loadSignIn(ctx)
	}
	var first *storedSignIn
	if previous != nil {
		first = s.loadFirstToken(ctx)
	}
	s.setSignIn(res.signIn)
	s.save(ctx)
	s.publish(res.token, res.skew, res.epoch)
	s.agent.wakeScheduler()
	s.revokeReplaced(previous, first)
}

// revokeReplaced revokes the previous sign-in in the background. Otherwise its refresh tokens
// would stay valid for weeks, and no logout would reach them. While the new sign-in is not
// saved, it does nothing: the previous one is all that a crash would leave.
func (s *session) revokeReplaced(previous, first *storedSignIn) {
	s.mu.Lock()
	unsaved := s.unsaved
	s.mu.Unlock()
	if previous == nil || unsaved {
		return
	}
	s.agent.goTracked(func() {
		_ = s.revoke(s.agent.ctx, previous, LogoutHere)
		s.revokeFirstToken(s.agent.ctx, first)
	})
}

// setSignIn puts a new sign-in in memory and clears the failures of the previous one.
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
