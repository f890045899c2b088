package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	callTimeout    = 10 * time.Second // one call to the provider
	refreshTimeout = 20 * time.Second // all tries of one flight
	maxAttempts    = 3
	storeTimeout   = 10 * time.Second  // stores have shorter ones of their own
	promptTimeout  = 130 * time.Second // where a person may have to unlock the store first
)

// refreshSignIn makes the sign-in that is kept yield a token.
func (s *session) refreshSignIn(ctx context.Context) *Error {
	if err := s.ensureLoaded(ctx); err != nil {
		return err
	}
	if s.publishAPIKey() {
		return nil
	}
	// A provider that did the work and lost the answer takes the same refresh token
	// again, but only for a short while (Cognito's grace period is at most 60 s, and may
	// be 0): so the retries are prompt.
	err := withRetries(ctx, s.refreshOnce)
	if err != nil && err.Code == CodeLoginRequired && s.reloadRotated(ctx) {
		err = withRetries(ctx, s.refreshOnce)
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
	refreshed := signIn.afterRefresh(res.SignIn)
	s.mu.Lock()
	unchanged := s.signIn.sameAs(refreshed)
	s.mu.Unlock()
	if !unchanged {
		s.saveSignIn(refreshed)
	}
	cred := newCachedToken(res, wall, mono, s.agent.view.Load().config.RefreshMargin)
	cred.signInExpiry = expiryOf(signIn, env)
	s.publish(cred, res.Skew, epoch)
	if w := cred.signInExpiry.warning(s.name, wall); w != "" {
		s.agent.log.Warn(w, "op", "refresh", "env", s.name)
	}
	return nil
}
