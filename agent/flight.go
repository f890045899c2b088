package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

const (
	tryTimeout    = 10 * time.Second // one call to the provider
	flightTimeout = 20 * time.Second // all tries of one flight
	mostTries     = 3
	storeTimeout  = 10 * time.Second  // stores have shorter ones of their own
	promptTimeout = 130 * time.Second // where a person may have to unlock the store first
)

// noteLocked keeps count of failures that may pass. The caller holds mu.
func (s fromSignIn) noteLocked(err *Error) {
	switch {
	case err == nil:
		s.fail = failure{}
		s.refreshes++
	case err.Code == CodeLoginRequired || err.Code == CodeLocked || err.Op == opCredential && s.kept == nil:
		// States of their own: the person's next move is not to be delayed.
		s.fail = failure{}
	default:
		s.fail.add(err, s.a.now())
	}
}

func causeOf(e *Error) string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (s *session) refreshInTurn(h *held) *Error {
	if err := s.take(s.a.life); err != nil {
		return s.wrap("refresh", err)
	}
	defer s.give()
	if now := s.held.Load(); now != nil && now != h {
		return nil // a sign-in came first
	}
	ctx, cancel := context.WithTimeout(s.a.life, flightTimeout)
	defer cancel()
	err := s.renew(ctx)
	if err != nil && err.Code == CodeLoginRequired {
		err = s.signInAlone(ctx, err)
	}
	if err != nil && err.Code == CodeLoginRequired {
		s.reject(err)
	}
	return err
}

// renew makes the sign-in that is kept yield a token.
func (s *session) renew(ctx context.Context) *Error {
	if err := s.read(ctx); err != nil {
		return err
	}
	if s.useAPIKey() {
		return nil
	}
	err := s.refresh(ctx)
	if err != nil && err.Code == CodeLoginRequired && s.readNewer(ctx) {
		err = s.refresh(ctx)
	}
	return err
}

// useAPIKey publishes the API key, if that is what is kept.
func (s *session) useAPIKey() bool {
	s.mu.Lock()
	k, epoch := s.kept, s.epoch
	s.mu.Unlock()
	if k == nil || k.apiKey.IsZero() {
		return false
	}
	s.publish(newEndless(k.apiKey, s.a.now(), time.Now()), 0, epoch)
	return true
}

// read loads the sign-in from the store unless that is done. The caller has the turn.
func (s *session) read(ctx context.Context) *Error {
	s.mu.Lock()
	known, k := s.known, s.kept
	s.mu.Unlock()
	if !known {
		var err *Error
		if k, err = s.load(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		s.known, s.kept = true, k
		s.mu.Unlock()
	}
	return s.fits(k)
}

// fits refuses a missing sign-in, and one made at another pool or client: its
// refresh token must not be shown to an endpoint it was not issued by.
func (s *session) fits(k *kept) *Error {
	if k == nil {
		return s.notSignedIn("refresh")
	}
	if !k.apiKey.IsZero() || k.belongs(s.environment()) {
		return nil
	}
	e := s.errorf("refresh", CodeLoginRequired, "the kept sign-in is for another user pool or client than the configured one")
	e.Hint = s.loginHint()
	s.reject(e)
	return e
}

// load asks the store; nil without an error means that nothing is kept.
func (s *session) load(ctx context.Context) (*kept, *Error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	data, err := s.a.store.Get(ctx, s.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, s.storeError("refresh", err)
	}
	k, err := decodeRecord(data)
	if err != nil {
		e := s.errorf("refresh", CodeLoginRequired, "%s", err)
		e.Hint = s.loginHint()
		if errors.Is(err, errNewer) {
			e.Hint = "upgrade kyc-agentd, or " + e.Hint
		}
		s.reject(e)
		return nil, e
	}
	return k, nil
}

// readNewer takes over a record that somebody else rotated meanwhile (a second
// agent on the same store): the refusal was then about our old token only.
func (s *session) readNewer(ctx context.Context) bool {
	k, err := s.load(ctx)
	if err != nil || k == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil || s.unsaved || k.generation <= s.kept.generation || k.RefreshToken.Equal(s.kept.RefreshToken) {
		return false
	}
	if k.Subject != s.kept.Subject {
		s.dropAWSLocked()
	}
	s.kept = k
	return true
}

func (s *session) reject(err *Error) {
	defer s.tell(s.held.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known && s.kept == nil {
		return // absent, which is a state of its own
	}
	s.rejected, s.rejectedAt = err, s.a.now()
	s.held.Store(nil)
	s.dropAWSLocked()
}

// refresh tries again promptly: a provider that did the work and lost the answer takes
// the same refresh token again, but only for a short while (Cognito's grace period is at
// most 60 s, and may be 0).
func (s *session) refresh(ctx context.Context) *Error { return insist(ctx, s.try) }

// insist makes up to three tries with pauses of about a second.
func insist(ctx context.Context, try func(context.Context) *Error) *Error {
	for n := 1; ; n++ {
		err := try(ctx)
		if err == nil || err.Code != CodeUnavailable || n == mostTries {
			return err
		}
		select {
		case <-time.After(time.Duration(n)*500*time.Millisecond + rand.N(500*time.Millisecond)):
		case <-ctx.Done():
			return err
		}
	}
}

// try is one call. What it yields becomes durable before it becomes visible.
func (s *session) try(ctx context.Context) *Error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	s.mu.Lock()
	env, epoch, k := s.env, s.epoch, s.kept
	s.mu.Unlock()
	wall, mono := s.a.now(), time.Now()
	g, err := s.a.auth.Refresh(ctx, env, k.SignIn, func(rotated SignIn) {
		s.keep(k.next(rotated))
		s.keepOrigin(k)
	})
	if err != nil {
		return s.wrap("refresh", err)
	}
	if n := k.next(g.SignIn); !s.has(n) {
		s.keep(n)
	}
	h := newHeld(g, wall, mono, s.a.view.Load().config.RefreshMargin)
	h.end = endOf(k, env)
	s.publish(h, g.Skew, epoch)
	if w := h.end.warning(s.name, wall); w != "" {
		s.a.log.Warn(w, "op", "refresh", "env", s.name)
	}
	return nil
}

// next is the sign-in after a refresh of k that yielded got.
func (k *kept) next(got SignIn) *kept {
	n := *k
	if !got.RefreshToken.IsZero() && !got.RefreshToken.Equal(k.RefreshToken) {
		n.RefreshToken = got.RefreshToken
		n.generation++
	}
	if got.RefreshAPI != "" {
		n.RefreshAPI = got.RefreshAPI
	}
	if got.Device.Key != "" {
		n.Device = got.Device
	}
	return &n
}

// same compares what a refresh can change.
func (k *kept) same(o *kept) bool {
	return k.generation == o.generation && k.RefreshToken.Equal(o.RefreshToken) && k.RefreshAPI == o.RefreshAPI && k.Device.Key == o.Device.Key
}

// keep makes k the sign-in: in memory at once, for it may be the only good copy,
// and in the store before it returns, if the store can.
func (s *session) keep(k *kept) {
	s.mu.Lock()
	s.kept, s.known, s.unsaved = k, true, true
	s.mu.Unlock()
	s.save(context.Background())
}

// has reports whether the sign-in is k to the letter, so that nothing need be written.
func (s *session) has(k *kept) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.same(k)
}

// publish makes h the token that requests get, unless the environment changed
// under it.
func (s *session) publish(h *held, skew time.Duration, epoch int) {
	defer s.tell(s.held.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = skew
	if s.epoch == epoch {
		s.held.Store(h)
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
