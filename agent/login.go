package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/store/shared"
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
	browser := req.RedirectURI != ""
	switch {
	case browser && (key != "" || !req.Password.IsZero()):
		return s.errorf("login", CodeUsage, "a sign-in with a browser takes no password and no API key")
	case browser:
		return nil
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
	if err := s.checkShared(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	env, epoch := s.env, s.epoch
	req.Device = s.deviceLocked(env)
	s.mu.Unlock()
	if !req.APIKey.IsZero() {
		token := newCachedAPIKey(req.APIKey, s.agent.now(), time.Now())
		signIn := &storedSignIn{issued: SignIn{SignedInAt: token.requestedWall}, at: place{environment: s.name}, apiKey: req.APIKey}
		signIn.limit(req.For)
		token.describe(signIn, env)
		return s.commitSignIn(loginResult{env: env, token: token, epoch: epoch, signIn: signIn})
	}
	req.Environment = s.name
	var res AuthResult
	signIn := func(ask Prompter) (err error) {
		res, err = s.agent.auth.Login(ctx, env, req, ask)
		return err
	}
	var err error
	if req.Password.IsZero() {
		err = signIn(ask)
	} else {
		err = s.guarded(ctx, "login", req.Username, ask, signIn)
	}
	superseded := context.Cause(ctx) == errSuperseded
	if err == nil && superseded {
		s.revokeLate(env, &storedSignIn{issued: res.SignIn, at: placeOf(env)})
	}
	switch {
	case err == nil && s.agent.lockedError() != nil:
		s.revokeLate(env, &storedSignIn{issued: res.SignIn, at: placeOf(env)})
		return s.agent.lockedError()
	case superseded:
		return s.errorf("login", CodeUnavailable, "another sign-in was started and ended this one")
	case err != nil && s.agent.lockedError() != nil:
		return s.agent.lockedError()
	case err != nil:
		return err
	}
	if req.RedirectURI != "" {
		req.Username = "" // it was a suggestion, and the person may have signed in as somebody else
	}
	return s.commitSignIn(s.newLoginResult(env, epoch, req, res))
}

// deviceLocked returns how the user pool of env remembers this machine. A device is shown to
// no other place than the one that knows it. The caller holds mu.
func (s *session) deviceLocked(env Environment) Device {
	if s.signIn == nil || !s.signIn.belongsTo(env) {
		return Device{}
	}
	return s.signIn.issued.Device
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
	env    Environment
	signIn *storedSignIn
	token  *cachedCredential
	skew   time.Duration
	epoch  int // the session's, when the sign-in began
}

func (s *session) newLoginResult(env Environment, epoch int, req LoginRequest, res AuthResult) loginResult {
	token := newCachedToken(env, res, s.agent.now(), time.Now(), s.agent.view.Load().config.RefreshMargin)
	signIn := &storedSignIn{issued: res.SignIn, at: placeOf(env), login: req.Username}
	if signIn.issued.SignedInAt.IsZero() {
		signIn.issued.SignedInAt = token.requestedWall
	}
	signIn.limit(req.For)
	token.describe(signIn, env)
	return loginResult{env: env, signIn: signIn, token: token, skew: res.Skew, epoch: epoch}
}

// commitSignIn replaces the sign-in by a new one. From here on there is a sign-in to lose, so
// the agent does this on its own: the caller may be gone.
func (s *session) commitSignIn(res loginResult) error {
	done := make(chan struct{})
	started := s.agent.goTracked(func() {
		defer close(done)
		s.adopt(res, s.agent.storeLimit(), anyLineage)
	})
	if !started {
		s.revokeLate(res.env, res.signIn)
		return s.errorf("login", CodeUnavailable, "the agent is stopping; try again")
	}
	<-done
	return nil
}

const anyLineage = -1

// adopt saves and publishes a new sign-in and revokes the one it replaces. It waits for no call
// to the provider, and no longer than limit for the store. A sign-in that the agent makes by
// itself has the lineage for which it was made: if that changed, adopt does nothing and returns
// false.
func (s *session) adopt(res loginResult, limit time.Duration, lineage int) bool {
	present := s.noteReplaced(limit)
	s.mu.Lock()
	if lineage != anyLineage && s.lineage != lineage {
		if len(s.replaced) == 0 {
			s.replacedRecord.setLocked(nil, false)
		}
		s.mu.Unlock()
		return false
	}
	s.replaceLocked(present)
	attended, call := lineage == anyLineage, s.token.inFlight
	if attended {
		call = s.token.overtakeLocked()
	}
	s.setSignInLocked(res.signIn)
	until := s.setUntilLocked(res.signIn)
	lineage = s.lineage
	s.inFleet(res.token)
	if s.agent.fleet != nil {
		res.signIn.parent = shared.Parent{Revision: s.shared.record.Revision, Any: true}
		s.shared.pending, s.shared.token, s.shared.record.First = true, s.shareToken(res.token), nil
	}
	version := s.saveLocked(res.signIn, true, attended)
	s.mu.Unlock()
	s.waitSaved(version, limit)
	s.waitUntilSaved(until, min(limit, saveTimeout))
	s.shareLogin(limit)
	s.publish(res.token, res.skew, res.epoch, lineage, call)
	s.agent.wakeScheduler()
	return true
}

// setSignInLocked puts a new sign-in in memory and clears the failures of the previous one. The
// caller holds mu.
func (s *session) setSignInLocked(signIn *storedSignIn) {
	signIn.generation = 1
	if s.signIn != nil {
		signIn.generation = s.signIn.generation + 1
	}
	signIn.firstGeneration = signIn.generation
	s.lineage++
	s.signIn, s.loaded, s.signingOut = signIn, true, false
	s.clearFailuresLocked()
	s.unattended = unattendedState{}
	s.clearAWSLocked()
}

// clearFailuresLocked forgets what failed for a sign-in that is not there any more. The caller
// holds mu.
func (s *session) clearFailuresLocked() {
	s.rejected, s.absent, s.token.backoff, s.saveBackoff = nil, nil, backoff{}, backoff{}
	s.refreshes, s.refreshFailures = 0, 0
	s.answeredLocked()
	s.unrotated = false
}
