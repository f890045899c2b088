package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/legaltalent/kyc-agent/store/shared"
)

const (
	// tryTimeout bounds one try of a refresh in case the Authenticator does not do that itself.
	// It is long, because giving up an answer can cost the sign-in: Cognito may have replaced
	// the refresh token by then.
	tryTimeout = 150 * time.Second
	// retryWindow is how long after its begin a refresh may be tried again at once.
	retryWindow = 100 * time.Second
	maxAttempts = 3

	exchangeTimeout    = 10 * time.Second // one call to the Exchanger
	allExchangeTimeout = 20 * time.Second // all attempts of one exchange
)

// refreshSignIn gets a new ID token from the stored sign-in.
func (s *session) refreshSignIn() *Error {
	if err := s.ensureLoaded(s.agent.ctx); err != nil {
		return err
	}
	if s.publishAPIKey() {
		return nil
	}
	s.mu.Lock()
	epoch, lineage, attempts := s.epoch, s.lineage, maxAttempts
	if failed := s.token.backoff.err; failed != nil && !errors.Is(failed, ErrNoAnswer) {
		attempts = 1 // the provider answered, and is not pressed
	}
	s.mu.Unlock()
	if s.settle(); s.changedSince(epoch, lineage) {
		return s.changedError("refresh")
	}
	again := func(err *Error) bool { return !s.changedSince(epoch, lineage) && s.mayRetry(err) }
	// The retries are prompt: a provider that did the work and lost the answer accepts
	// the same refresh token again, but only for a short while (Cognito's grace period
	// is at most 60 s, and may be 0).
	err := withRetries(s.agent.ctx, attempts, again, s.refreshOnce)
	if err != nil && err.Code == CodeLoginRequired && !s.changedSince(epoch, lineage) {
		if s.reloadRotated(s.agent.ctx) {
			err = withRetries(s.agent.ctx, attempts, again, s.refreshOnce)
		}
		if err != nil && err.Code == CodeLoginRequired && !s.changedSince(epoch, lineage) {
			return s.markRejected(s.explainRefusal(err))
		}
	}
	return err
}

// changedSince reports whether the environment or the sign-in is another one since epoch and
// lineage were read.
func (s *session) changedSince(epoch, lineage int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch != epoch || s.lineage != lineage
}

// mayRetry reports whether a refresh that failed with err is tried again at once. While the
// agent stops, only the chance of a lost refresh token is worth that.
func (s *session) mayRetry(err *Error) bool {
	s.mu.Lock()
	signIn := s.signIn
	s.mu.Unlock()
	switch {
	case signIn == nil:
		return false
	case errors.Is(err, ErrUnreachable):
		return !s.agent.isClosing()
	}
	return s.agent.softCtx.Err() == nil || s.mayRotate(signIn)
}

// publishAPIKey publishes the API key, if one is stored instead of a sign-in.
func (s *session) publishAPIKey() bool {
	s.mu.Lock()
	signIn, env, epoch, lineage := s.signIn, s.env, s.epoch, s.lineage
	s.mu.Unlock()
	if signIn == nil || signIn.apiKey.IsZero() {
		return false
	}
	key := newCachedAPIKey(signIn.apiKey, s.agent.now(), time.Now())
	key.describe(signIn, env)
	s.publish(key, 0, epoch, lineage, nil)
	return true
}

// withRetries makes attempts with pauses of about a second while again allows it.
func withRetries(ctx context.Context, attempts int, again func(*Error) bool, attempt func(context.Context) *Error) *Error {
	started := time.Now()
	for n := 1; ; n++ {
		err := attempt(ctx)
		if err == nil || err.Code != CodeUnavailable || n >= attempts || time.Since(started) > retryWindow || !again(err) {
			return err
		}
		select {
		case <-time.After(time.Duration(n)*500*time.Millisecond + rand.N(500*time.Millisecond)):
		case <-ctx.Done():
			return err
		}
		if !again(err) {
			return err
		}
	}
}

// A refreshTry is one call to the provider, with what it was made with.
type refreshTry struct {
	env     Environment
	signIn  *storedSignIn
	epoch   int
	lineage int
	began   time.Time     // wall clock
	rotates bool          // it may replace the refresh token
	parent  shared.Parent // the record of the fleet that signIn is from
	keptAt  time.Time     // when it brought a new refresh token, monotonic clock; zero if it did not
	version int           // of the record that has it
}

// refreshOnce makes one call to the provider. A new refresh token is durable before the ID
// token that came with it becomes visible, unless the store takes longer than saveTimeout.
func (s *session) refreshOnce(ctx context.Context) *Error {
	s.mu.Lock()
	try := &refreshTry{env: s.env, signIn: s.signIn, epoch: s.epoch, lineage: s.lineage, began: s.agent.now(), parent: s.shared.record.Parent()}
	s.mu.Unlock()
	if try.signIn == nil {
		return s.notSignedIn("refresh")
	}
	if err := s.checkPlace(try.signIn, try.env); err != nil {
		return err
	}
	if try.rotates = s.mayRotate(try.signIn); try.rotates {
		s.agent.markers.Begin(s.name)
	} else {
		ctx = s.agent.softCtx
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	mono := time.Now()
	res, err := s.agent.auth.Refresh(ctx, try.env, try.signIn.issued, func(rotated SignIn) { s.keepRotated(try, rotated) })
	if err != nil {
		e := s.wrap("refresh", err)
		s.recordAnswer(try, e)
		return e
	}
	refreshed := try.signIn.afterRefresh(try.env, res.SignIn)
	if refreshed.generation != try.signIn.generation {
		s.keepRotated(try, res.SignIn)
		s.waitSaved(try.version, max(saveTimeout-time.Since(try.keptAt), 0))
	}
	cred := newCachedToken(try.env, res, try.began, mono, s.agent.view.Load().config.RefreshMargin)
	cred.describe(refreshed, try.env)
	if s.agent.fleet != nil && !s.shareRefreshed(try, refreshed, cred) {
		s.recordAnswer(try, nil)
		return nil
	}
	s.publish(cred, res.Skew, try.epoch, try.lineage, nil)
	s.recordAnswer(try, nil)
	s.saveRefreshed(try, refreshed)
	if w := cred.signInExpiry.warning(s.name, try.began); w != "" {
		s.agent.log.Warn(w, "op", "refresh", "env", s.name)
	}
	return nil
}

// keepRotated stores the new refresh token that try brought; the second call for one try does
// nothing. If a login or a logout came first, nobody will use that token, so it is revoked.
func (s *session) keepRotated(try *refreshTry, rotated SignIn) {
	if !try.keptAt.IsZero() {
		return
	}
	try.keptAt = time.Now()
	signIn := try.signIn.afterRefresh(try.env, rotated)
	signIn.parent = try.parent
	s.mu.Lock()
	if s.lineage != try.lineage {
		s.mu.Unlock()
		s.revokeLate(try.env, signIn)
		return
	}
	defer s.mu.Unlock()
	if s.epoch != try.epoch {
		signIn.at = try.signIn.at // the environment is another one by now
	}
	s.answeredLocked() // before the record is written, which removes the marker
	s.shared.pending = s.agent.fleet != nil
	try.version = s.saveLocked(signIn, true, false)
}

// saveRefreshed stores what else try brought: which refresh call works, the device, and the
// first refresh token once it was replaced. Nobody waits for that.
func (s *session) saveRefreshed(try *refreshTry, refreshed *storedSignIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lineage != try.lineage || s.epoch != try.epoch || s.signIn == nil {
		return
	}
	s.unrotated = refreshed.generation == try.signIn.generation
	if s.agent.fleet != nil {
		return
	}
	if !s.signIn.sameAs(refreshed) && s.signIn.sameTokenAs(refreshed) {
		s.saveLocked(refreshed, false, false)
	}
	if !s.unrotated && try.signIn.generation == try.signIn.firstGeneration {
		s.saveFirstTokenLocked(try.signIn)
	}
}

// mayRotate reports whether a refresh of signIn may replace its refresh token: if that
// happened before, or while nothing speaks against it. InitiateAuth never does.
func (s *session) mayRotate(signIn *storedSignIn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return signIn.generation > signIn.firstGeneration || !s.unrotated && signIn.issued.RefreshAPI != "initiate-auth"
}

// recordAnswer records whether try was answered. If it was not, the provider may have replaced
// the refresh token all the same.
func (s *session) recordAnswer(try *refreshTry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lineage != try.lineage {
		return
	}
	lost := try.rotates && errors.Is(err, ErrNoAnswer) && !errors.Is(err, ErrUnreachable) && try.keptAt.IsZero()
	switch {
	case lost && s.unanswered.IsZero():
		s.unanswered, s.rescueUntil = try.began, try.began.Add(graceMax)
	case err == nil:
		s.answeredLocked()
	case errors.Is(err, CodeLoginRequired):
		s.unanswered, s.rescueUntil = time.Time{}, time.Time{}
	}
	if s.unanswered.IsZero() && !s.unsavedLocked() {
		s.agent.markers.End(s.name)
	}
}

// answeredLocked forgets that an answer was lost: the refresh token in memory is good. The
// caller holds mu.
func (s *session) answeredLocked() {
	s.unanswered, s.rescueUntil, s.cutOff = time.Time{}, time.Time{}, time.Time{}
}

// explainRefusal returns the refusal err of a refresh token with which an earlier agent was cut
// off, in the words for that: nobody else has used the token.
func (s *session) explainRefusal(err *Error) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cutOff.IsZero() {
		return err
	}
	e := *err
	e.Message = fmt.Sprintf("Cognito refused the refresh token: the agent ended during the refresh of %s, which replaced it",
		s.cutOff.Local().Format(time.DateTime))
	s.cutOff = time.Time{}
	return &e
}
