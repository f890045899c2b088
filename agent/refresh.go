package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

const (
	callTimeout    = 10 * time.Second // one call to the provider
	refreshTimeout = 20 * time.Second // all tries of one flight
	maxAttempts    = 3
	storeTimeout   = 10 * time.Second  // stores have shorter ones of their own
	promptTimeout  = 130 * time.Second // where a person may have to unlock the store first
)

// recordLocked keeps count of failures that may pass. The caller holds mu.
func (p tokenProvider) recordLocked(err *Error) {
	s := p.session
	switch {
	case err == nil:
		s.token.backoff = backoff{}
		s.refreshes++
	case err.Code == CodeLoginRequired || err.Code == CodeLocked || err.Op == opCredential && s.signIn == nil:
		// States of their own: the person's next move is not to be delayed.
		s.token.backoff = backoff{}
	default:
		s.token.backoff.recordFailure(err, s.agent.now())
	}
}

func causeOf(e *Error) string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (s *session) refreshInTurn(cred *cachedCredential) *Error {
	if err := s.acquire(s.agent.ctx); err != nil {
		return s.wrap("refresh", err)
	}
	defer s.release()
	if now := s.token.current.Load(); now != nil && now != cred {
		return nil // a sign-in came first
	}
	ctx, cancel := context.WithTimeout(s.agent.ctx, refreshTimeout)
	defer cancel()
	err := s.refreshSignIn(ctx)
	if err != nil && err.Code == CodeLoginRequired {
		err = s.tryUnattended(ctx, err)
	}
	if err != nil && err.Code == CodeLoginRequired {
		s.markRejected(err)
	}
	return err
}

// refreshSignIn makes the sign-in that is kept yield a token.
func (s *session) refreshSignIn(ctx context.Context) *Error {
	if err := s.ensureLoaded(ctx); err != nil {
		return err
	}
	if s.publishAPIKey() {
		return nil
	}
	err := s.refresh(ctx)
	if err != nil && err.Code == CodeLoginRequired && s.reloadRotated(ctx) {
		err = s.refresh(ctx)
	}
	return err
}

// publishAPIKey publishes the API key, if that is what is kept.
func (s *session) publishAPIKey() bool {
	s.mu.Lock()
	signIn, epoch := s.signIn, s.epoch
	s.mu.Unlock()
	if signIn == nil || signIn.apiKey.IsZero() {
		return false
	}
	s.publish(newCachedAPIKey(signIn.apiKey, s.agent.now(), time.Now()), 0, epoch)
	return true
}

// ensureLoaded loads the sign-in from the store unless that is done. The caller has the turn.
func (s *session) ensureLoaded(ctx context.Context) *Error {
	s.mu.Lock()
	known, signIn := s.loaded, s.signIn
	s.mu.Unlock()
	if !known {
		var err *Error
		if signIn, err = s.loadSignIn(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		s.loaded, s.signIn = true, signIn
		s.mu.Unlock()
	}
	return s.checkSignIn(signIn)
}

// checkSignIn refuses a missing sign-in, and one made at another pool or client: its
// refresh token must not be shown to an endpoint it was not issued by.
func (s *session) checkSignIn(signIn *storedSignIn) *Error {
	if signIn == nil {
		return s.notSignedIn("refresh")
	}
	if !signIn.apiKey.IsZero() || signIn.belongsTo(s.environment()) {
		return nil
	}
	e := s.errorf("refresh", CodeLoginRequired, "the kept sign-in is for another user pool or client than the configured one")
	e.Hint = s.loginHint()
	s.markRejected(e)
	return e
}

// loadSignIn asks the store; nil without an error means that nothing is kept.
func (s *session) loadSignIn(ctx context.Context) (*storedSignIn, *Error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	data, err := s.agent.store.Get(ctx, s.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, s.storeError("refresh", err)
	}
	signIn, err := decodeRecord(data)
	if err != nil {
		e := s.errorf("refresh", CodeLoginRequired, "%s", err)
		e.Hint = s.loginHint()
		if errors.Is(err, errNewer) {
			e.Hint = "upgrade kyc-agentd, or " + e.Hint
		}
		s.markRejected(e)
		return nil, e
	}
	return signIn, nil
}

// reloadRotated takes over a record that somebody else rotated meanwhile (a second
// agent on the same store): the refusal was then about our old token only.
func (s *session) reloadRotated(ctx context.Context) bool {
	signIn, err := s.loadSignIn(ctx)
	if err != nil || signIn == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signIn == nil || s.unsaved || signIn.generation <= s.signIn.generation || signIn.issued.RefreshToken.Equal(s.signIn.issued.RefreshToken) {
		return false
	}
	if signIn.issued.Subject != s.signIn.issued.Subject {
		s.clearAWSLocked()
	}
	s.signIn = signIn
	return true
}

func (s *session) markRejected(err *Error) {
	defer s.notifyChanged(s.token.current.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded && s.signIn == nil {
		return // absent, which is a state of its own
	}
	s.rejected, s.rejectedAt = err, s.agent.now()
	s.token.current.Store(nil)
	s.clearAWSLocked()
}

// refresh tries again promptly: a provider that did the work and lost the answer takes
// the same refresh token again, but only for a short while (Cognito's grace period is at
// most 60 s, and may be 0).
func (s *session) refresh(ctx context.Context) *Error { return withRetries(ctx, s.refreshOnce) }

// withRetries makes up to three tries with pauses of about a second.
func withRetries(ctx context.Context, try func(context.Context) *Error) *Error {
	for n := 1; ; n++ {
		err := try(ctx)
		if err == nil || err.Code != CodeUnavailable || n == maxAttempts {
			return err
		}
		select {
		case <-time.After(time.Duration(n)*500*time.Millisecond + rand.N(500*time.Millisecond)):
		case <-ctx.Done():
			return err
		}
	}
}

// refreshOnce is one call. What it yields becomes durable before it becomes visible.
func (s *session) refreshOnce(ctx context.Context) *Error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s.mu.Lock()
	env, epoch, signIn := s.env, s.epoch, s.signIn
	s.mu.Unlock()
	wall, mono := s.agent.now(), time.Now()
	res, err := s.agent.auth.Refresh(ctx, env, signIn.issued, func(rotated SignIn) {
		s.saveSignIn(signIn.afterRefresh(rotated))
		s.saveFirstToken(signIn)
	})
	if err != nil {
		return s.wrap("refresh", err)
	}
	if n := signIn.afterRefresh(res.SignIn); !s.unchanged(n) {
		s.saveSignIn(n)
	}
	cred := newCachedToken(res, wall, mono, s.agent.view.Load().config.RefreshMargin)
	cred.signInExpiry = expiryOf(signIn, env)
	s.publish(cred, res.Skew, epoch)
	if w := cred.signInExpiry.warning(s.name, wall); w != "" {
		s.agent.log.Warn(w, "op", "refresh", "env", s.name)
	}
	return nil
}

// afterRefresh is the sign-in after a refresh of signIn that yielded got.
func (signIn *storedSignIn) afterRefresh(got SignIn) *storedSignIn {
	n := *signIn
	if !got.RefreshToken.IsZero() && !got.RefreshToken.Equal(signIn.issued.RefreshToken) {
		n.issued.RefreshToken = got.RefreshToken
		n.generation++
	}
	if got.RefreshAPI != "" {
		n.issued.RefreshAPI = got.RefreshAPI
	}
	if got.Device.Key != "" {
		n.issued.Device = got.Device
	}
	return &n
}

// sameAs compares what a refresh can change.
func (signIn *storedSignIn) sameAs(o *storedSignIn) bool {
	return signIn.generation == o.generation && signIn.issued.RefreshToken.Equal(o.issued.RefreshToken) && signIn.issued.RefreshAPI == o.issued.RefreshAPI && signIn.issued.Device.Key == o.issued.Device.Key
}

// saveSignIn makes signIn the sign-in: in memory at once, for it may be the only good copy,
// and in the store before it returns, if the store can.
func (s *session) saveSignIn(signIn *storedSignIn) {
	s.mu.Lock()
	s.signIn, s.loaded, s.unsaved = signIn, true, true
	s.mu.Unlock()
	s.save(context.Background())
}

// unchanged reports whether the sign-in is signIn to the letter, so that nothing need be written.
func (s *session) unchanged(signIn *storedSignIn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signIn.sameAs(signIn)
}

// publish makes cred the token that requests get, unless the environment changed
// under it.
func (s *session) publish(cred *cachedCredential, skew time.Duration, epoch int) {
	defer s.notifyChanged(s.token.current.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = skew
	if s.epoch == epoch {
		s.token.current.Store(cred)
	}
}

func (s *session) environment() Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.env
}

// storeError turns a store's error into ours; its text is made for people.
func (s *session) storeError(op string, err error) *Error {
	code := CodeUnavailable
	if errors.Is(err, store.ErrLocked) {
		code = CodeLocked
	}
	e := s.errorf(op, code, "%s", err)
	e.Err = err
	return e
}
