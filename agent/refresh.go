package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	callTimeout    = 10 * time.Second // one call to the provider
	refreshTimeout = 20 * time.Second // all attempts of one refresh
	maxAttempts    = 3
	storeTimeout   = 10 * time.Second  // the stores have shorter timeouts themselves
	promptTimeout  = 130 * time.Second // where a person may have to unlock the store first
)

// refreshSignIn gets a new ID token from the stored sign-in. The caller holds the write
// lock.
func (s *session) refreshSignIn(ctx context.Context) *Error {
	if err := s.ensureLoaded(ctx); err != nil {
		return err
	}
	if s.publishAPIKey() {
		return nil
	}
	// The retries are prompt: a provider that did the work and lost the answer accepts
	// the same refresh token again, but only for a short while (Cognito's grace period
	// is at most 60 s, and may be 0).
	err := withRetries(ctx, s.refreshOnce)
	if err != nil && err.Code == CodeLoginRequired && s.reloadRotated(ctx) {
		err = withRetries(ctx, s.refreshOnce)
	}
	return err
}

// publishAPIKey publishes the API key, if one is stored instead of a sign-in.
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

// checkSignIn refuses a missing sign-in, and one made at another user pool or client: a
// refresh token must not be sent to an endpoint that did not issue it.
func (s *session) checkSignIn(signIn *storedSignIn) *Error {
	if signIn == nil {
		return s.notSignedIn("refresh")
	}
	if !signIn.apiKey.IsZero() || signIn.belongsTo(s.environment()) {
		return nil
	}
	e := s.errorf("refresh", CodeLoginRequired, "the stored sign-in is for another user pool or client than the configured one")
	e.Hint = s.loginHint()
	s.markRejected(e)
	return e
}

// withRetries makes up to three attempts with pauses of about a second.
func withRetries(ctx context.Context, attempt func(context.Context) *Error) *Error {
	for n := 1; ; n++ {
		err := attempt(ctx)
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

// refreshOnce makes one call to the provider. A new refresh token is durable before the
// ID token that came with it becomes visible.
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
