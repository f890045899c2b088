// What is stored of a sign-in has three owners: record.go the form in which it is written,
// save.go the way between store and memory, and the session, here, the copy in memory that
// everything else reads.

package agent

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/store/shared"
)

// A session is one environment's sign-in. A request that finds a good token in memory
// reads only url and the cache's current, and writes only its lastUsed. mu guards
// everything else and is never held across I/O: a call to the provider or to the store
// delays neither a login nor a logout. What such a call brings is taken only if lineage
// and epoch are still what they were.
type session struct {
	agent *Agent
	name  string

	token credentialCache // the ID token
	aws   credentialCache // the AWS credentials
	url   atomic.Pointer[string]

	mu              sync.Mutex
	env             Environment
	epoch           int           // grows when env changes such that a token requested before no longer fits
	awsEpoch        int           // the same for AWS credentials, and for every change of the sign-in
	lineage         int           // grows when a login or a logout replaces the sign-in
	listedState     State         // StateIdle or StateAbsent according to the store's list; "" before it was listed
	loaded          bool          // the store has been read or written
	signingOut      bool          // a logout runs, and the store still has the sign-in
	signIn          *storedSignIn // nil: no sign-in
	absent          *Error        // the answer while there is no sign-in; nil before it was given
	rejected        *Error        // why the sign-in cannot be used; nil while it can
	rejectedAt      time.Time
	checkedAt       time.Time       // when the store was last read, wall clock
	record          storedValue     // signIn in the store
	first           storedValue     // its first refresh token: see firsttoken.go
	essential       int             // the version of record that has the newest refresh token
	saving          bool            // a request waits for the store
	saveBackoff     backoff         // after saves that failed
	replaced        []*storedSignIn // the sign-ins to revoke: see replaced.go
	revokeBackoff   backoff         // after revocations of them that failed for a while
	replacedRecord  storedValue
	unrotated       bool      // the last refresh brought no new refresh token
	unanswered      time.Time // when the refresh began whose answer was lost; zero if none was
	cutOff          time.Time // when the refresh began in which an earlier agent ended; zero if none is known
	rescueUntil     time.Time // until when a lost answer can be had again: see rescue.go
	nextUnasked     time.Time // the earliest time of the next refresh without demand
	skew            time.Duration
	refreshes       int
	refreshFailures int
	cancelLogin     *context.CancelCauseFunc // cancels the login in progress; nil if there is none
	guesses         guesses                  // guards itself
	unattended      unattendedState
	refusedStamp    storedValue // see unattended.go
	untilMark       storedValue // see until.go
	limited         bool        // the store has it
	limit           countdown   // of the sign-in, for a clock that is set back
	shared          sharedState // see fleet.go
}

func newSession(a *Agent, env Environment) *session {
	s := &session{agent: a, name: env.Name, env: env}
	s.token.session, s.token.provider = s, tokenProvider{session: s}
	s.aws.session, s.aws.provider = s, awsProvider{session: s}
	s.record = storedValue{session: s, key: s.name, wrote: s.recordWritten}
	if a.fleet != nil {
		s.record.key = s.name + pendingSuffix
	}
	s.first = storedValue{session: s, key: s.name + firstTokenSuffix}
	s.replacedRecord = storedValue{session: s, key: s.name + replacedSuffix}
	s.refusedStamp = storedValue{session: s, key: s.name + refusedSuffix}
	s.untilMark = storedValue{session: s, key: s.name + untilSuffix}
	return s
}

// configure applies a new configuration. It clears failures, which the new configuration
// may have fixed.
func (s *session) configure(env Environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if env.awsDiffers(s.env) {
		s.clearAWSLocked()
	}
	s.aws.backoff = backoff{}
	moved := env.ClientID != s.env.ClientID || env.UserPoolID != s.env.UserPoolID || !placeOf(s.env).servedAt(placeOf(env).endpoint)
	if env.HandOutAccessTokens != s.env.HandOutAccessTokens {
		s.token.current.Store(nil) // it has an access token that it must not have, or lacks one
	}
	s.env = env
	s.unattended.configured()
	s.url.Store(&env.APIURL)
	s.token.backoff = backoff{}
	s.checkedAt = time.Time{}
	if !moved {
		return
	}
	s.epoch++
	s.token.current.Store(nil)
	s.clearAWSLocked()
	s.rejected, s.absent = nil, nil
	if !s.record.pendingLocked() && !s.shared.pending { // otherwise memory has the only copy
		s.loaded, s.signIn, s.shared.record, s.shared.read = false, nil, shared.Record{}, false
	}
}

// setListed records whether the store's list contained this session.
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

// unlockAndNotify releases mu and reports a change of the cached token since before, which
// was read with mu held. If it was read before, a token published in between would go unnoticed.
func (s *session) unlockAndNotify(before *cachedCredential) {
	changed := s.token.current.Load() != before
	s.mu.Unlock()
	if changed {
		s.agent.onChange(s.name)
	}
}

// clearCredentials removes the ID token and the AWS credentials from memory, for a logout. A
// refresh that began now would be one for nobody.
func (s *session) clearCredentials() {
	s.mu.Lock()
	defer s.unlockAndNotify(s.token.current.Load())
	s.signingOut = true
	s.token.current.Store(nil)
	s.clearAWSLocked()
}

// publish makes cred the token that requests get, unless the environment or the sign-in
// changed since it was requested. It answers the requests that wait for call, if that is not
// nil.
func (s *session) publish(cred *cachedCredential, skew time.Duration, epoch, lineage int, call *refreshCall) {
	s.mu.Lock()
	defer s.unlockAndNotify(s.token.current.Load())
	if call != nil && s.token.inFlight == call {
		defer s.token.endLocked(call, nil)
	}
	if s.epoch == epoch && s.lineage == lineage && s.agent.lockedError() == nil {
		s.skew = skew
		s.token.current.Store(cred)
	}
}

// markRejected records that the sign-in cannot be used, and why. It returns the error to
// answer with.
func (s *session) markRejected(err *Error) *Error {
	s.mu.Lock()
	defer s.unlockAndNotify(s.token.current.Load())
	if s.loaded && s.signIn == nil {
		return err // absent, which is a state of its own
	}
	if s.rejected != nil && s.rejected.Error() == err.Error() {
		return s.rejected.again()
	}
	s.rejected, s.rejectedAt = err, s.agent.now()
	s.token.current.Store(nil)
	s.clearAWSLocked()
	return err
}

// status describes the session. It locks mu for a moment and waits for nothing else.
func (s *session) status() EnvironmentStatus {
	now := s.agent.now()
	cred := s.token.current.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := EnvironmentStatus{
		Name: s.name, APIURL: s.env.APIURL, AllowedHosts: slices.Clone(s.env.AllowedHosts), Browser: s.env.browserSignIn(),
		State: s.stateLocked(cred, now), Refreshes: s.refreshes, RefreshFailures: s.refreshFailures,
		Degraded: s.token.backoff.err != nil || s.unattended.retries(), SkewSeconds: s.skew.Seconds(),
	}
	st.Unattended = s.env.Unattended != nil
	if s.signIn != nil {
		end := expiryOf(s.signIn, s.env)
		st.Rotated = s.signIn.generation > s.signIn.firstGeneration
		st.User, st.SignedInAt, st.APIKey = s.signIn.user(), s.signIn.issued.SignedInAt.UTC().Truncate(time.Second), !s.signIn.apiKey.IsZero()
		st.Subject = s.signIn.issued.Subject
		st.SignInEndsAt, st.Warning = end.at.UTC().Truncate(time.Second), end.warning(s.name, now)
	}
	if cred.left(now) > 0 && !cred.neverExpires {
		st.TokenLifeSeconds = int64(cred.lifetime.Seconds())
		st.ExpiresAt = now.Add(cred.left(now)).UTC().Truncate(time.Second)
		st.NextRefresh = now.Add(max(s.token.due(cred, now), 0)).UTC().Truncate(time.Second)
	}
	st.LastError, st.LastErrorAt = s.lastErrorLocked()
	s.fleetStatusLocked(&st)
	s.awsStatusLocked(&st, now)
	return st
}

// stateLocked returns the state of the session. The caller holds mu.
func (s *session) stateLocked(cred *cachedCredential, now time.Time) State {
	switch {
	case s.agent.lockedError() != nil && s.listedState != StateAbsent:
		return StateLocked
	case s.token.inFlight != nil:
		return StateRefreshing
	case s.rejected != nil:
		return StateRejected
	case s.unsavedLocked() && s.saveBackoff.err != nil:
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

// lastErrorLocked returns the problem that a person should know of, and since when there
// is one. The caller holds mu.
func (s *session) lastErrorLocked() (string, time.Time) {
	switch {
	case s.unsavedLocked() && s.saveBackoff.err != nil:
		return s.saveBackoff.err.Error(), s.saveBackoff.at.UTC().Truncate(time.Second)
	case s.env.Unattended != nil && s.unattended.err != nil:
		return s.unattended.err.Error(), s.unattended.lastTry.UTC().Truncate(time.Second)
	case s.rejected != nil:
		return s.rejected.Error(), s.rejectedAt.UTC().Truncate(time.Second)
	case s.token.backoff.err != nil:
		return s.token.backoff.err.Error(), s.token.backoff.at.UTC().Truncate(time.Second)
	}
	return "", time.Time{}
}
