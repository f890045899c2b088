package agent

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A session is one environment's sign-in. Requests that find a good token read
// only held and url and write only used; everything else is under mu, which is never held
// across I/O, and changes to the sign-in itself go one at a time (turn).
type session struct {
	agent *Agent
	name  string

	token credentialCache // the ID token
	aws   credentialCache
	url   atomic.Pointer[string]

	// writeLock holds one item: whoever took it may change the sign-in (a flight, a
	// save, a logout, the end of a login).
	writeLock chan struct{}

	mu              sync.Mutex
	env             Environment
	epoch           int           // grows when env changes so that tokens in flight no longer fit
	awsEpoch        int           // the same for AWS credentials, and for every change of the sign-in
	listedState     State         // StateIdle or StateAbsent as the store's list had it; "" unlisted
	loaded          bool          // the store has been read, or written
	signIn          *storedSignIn // nil: no sign-in
	rejected        *Error        // why the sign-in is of no use; nil while it is
	rejectedAt      time.Time
	unsaved         bool    // kept is newer than the store's record
	saveBackoff     backoff // of saving
	skew            time.Duration
	refreshes       int
	refreshFailures int
	cancelLogin     *context.CancelCauseFunc // ends the sign-in going on, or nil
	unattended      unattendedState          // the unattended sign-in
}

func newSession(a *Agent, env Environment) *session {
	s := &session{agent: a, name: env.Name, env: env, writeLock: make(chan struct{}, 1)}
	s.writeLock <- struct{}{}
	s.token.session, s.token.provider = s, tokenProvider{session: s}
	s.aws.session, s.aws.provider = s, awsProvider{session: s}
	return s
}

// configure takes a new configuration over. It clears failures, which it may have
// mended.
func (s *session) configure(env Environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if env.awsDiffers(s.env) {
		s.clearAWSLocked()
	}
	s.aws.backoff = backoff{}
	moved := env.IssuerURL() != s.env.IssuerURL() || env.ClientID != s.env.ClientID || env.EndpointURL() != s.env.EndpointURL()
	s.env = env
	s.unattended.off = false
	s.url.Store(&env.APIURL)
	s.token.backoff = backoff{}
	if !moved {
		return
	}
	s.epoch++
	s.token.current.Store(nil)
	s.clearAWSLocked()
	s.rejected = nil
	if !s.unsaved { // else memory has the only copy
		s.loaded, s.signIn = false, nil
	}
}

// setListed notes whether the store's list had this session.
func (s *session) setListed(present bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listedState = StateAbsent
	if present {
		s.listedState = StateIdle
	}
}

func (s *session) environment() Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.env
}

// acquire waits for the turn; the caller gives it back with give.
func (s *session) acquire(ctx context.Context) error {
	select {
	case <-s.writeLock:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) release() { s.writeLock <- struct{}{} }

// notifyChanged says that the token in memory changed, if it is not before any more. Deferred
// ahead of mu's unlocking, it runs after that.
func (s *session) notifyChanged(before *cachedCredential) {
	if s.token.current.Load() != before {
		s.agent.onChange(s.name)
	}
}

// clearCredentials takes the token out of memory, and the AWS credentials with it.
func (s *session) clearCredentials() {
	defer s.notifyChanged(s.token.current.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token.current.Store(nil)
	s.clearAWSLocked()
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

// status renders the session; it takes mu for a moment and waits for nothing.
func (s *session) status() EnvironmentStatus {
	now := s.agent.now()
	cred := s.token.current.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := EnvironmentStatus{
		Name: s.name, APIURL: s.env.APIURL, AllowedHosts: slices.Clone(s.env.AllowedHosts),
		State: s.stateLocked(cred, now), Refreshes: s.refreshes, RefreshFailures: s.refreshFailures,
		Degraded: s.token.backoff.err != nil, SkewSeconds: s.skew.Seconds(),
	}
	st.Unattended = s.env.Unattended != nil
	if s.signIn != nil {
		end := expiryOf(s.signIn, s.env)
		st.Rotated = s.signIn.generation > s.signIn.firstGeneration
		st.User, st.SignedInAt, st.APIKey = s.signIn.issued.Username, s.signIn.issued.SignedInAt.UTC().Truncate(time.Second), !s.signIn.apiKey.IsZero()
		st.SignInEndsAt, st.Warning = end.at.UTC().Truncate(time.Second), end.warning(s.name, now)
	}
	if cred.left(now) > 0 && !cred.neverExpires {
		st.TokenLifeSeconds = int64(cred.lifetime.Seconds())
		st.ExpiresAt = now.Add(cred.left(now)).UTC().Truncate(time.Second)
		st.NextRefresh = now.Add(max(s.token.due(cred, now), 0)).UTC().Truncate(time.Second)
	}
	st.LastError, st.LastErrorAt = s.lastErrorLocked()
	s.awsStatusLocked(&st, now)
	return st
}

// stateLocked: the caller holds mu.
func (s *session) stateLocked(cred *cachedCredential, now time.Time) State {
	switch {
	case s.token.inFlight != nil:
		return StateRefreshing
	case s.rejected != nil:
		return StateRejected
	case s.unsaved:
		return StateUnsaved
	case cred.left(now) > 0:
		return StateFresh
	case s.signIn != nil:
		return StateIdle
	case s.loaded:
		return StateAbsent
	case s.listedState != "":
		return s.listedState
	default:
		return StateUnknown
	}
}

// lastErrorLocked is what a person should know; the caller holds mu.
func (s *session) lastErrorLocked() (string, time.Time) {
	switch {
	case s.unsaved && s.saveBackoff.err != nil:
		return s.saveBackoff.err.Error(), s.saveBackoff.at.UTC().Truncate(time.Second)
	case s.rejected != nil:
		return s.rejected.Error(), s.rejectedAt.UTC().Truncate(time.Second)
	case s.token.backoff.err != nil:
		return s.token.backoff.err.Error(), s.token.backoff.at.UTC().Truncate(time.Second)
	case s.unattended.err != nil:
		return s.unattended.err.Error(), s.unattended.lastTry.UTC().Truncate(time.Second)
	}
	return "", time.Time{}
}
