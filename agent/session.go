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
	a    *Agent
	name string

	supply // of the ID token
	aws    supply
	url    atomic.Pointer[string]

	// turn holds one item: whoever took it may change the sign-in (a flight, a
	// save, a logout, the end of a login).
	turn chan struct{}

	mu              sync.Mutex
	env             Environment
	epoch           int    // grows when env changes so that tokens in flight no longer fit
	awsEpoch        int    // the same for AWS credentials, and for every change of the sign-in
	hint            State  // StateIdle or StateAbsent as the store's list had it; "" unlisted
	known           bool   // the store has been read, or written
	kept            *kept  // nil: no sign-in
	rejected        *Error // why the sign-in is of no use; nil while it is
	rejectedAt      time.Time
	unsaved         bool    // kept is newer than the store's record
	saveFail        failure // of saving
	skew            time.Duration
	refreshes       int
	refreshFailures int
	ongoing         *context.CancelCauseFunc // ends the sign-in going on, or nil
	alone           lone                     // the unattended sign-in
}

func newSession(a *Agent, env Environment) *session {
	s := &session{a: a, name: env.Name, env: env, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	s.supply.s, s.of = s, fromSignIn{s}
	s.aws.s, s.aws.of = s, fromIDToken{s}
	return s
}

// configure takes a new configuration over. It clears failures, which it may have
// mended.
func (s *session) configure(env Environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if env.movesAWS(s.env) {
		s.dropAWSLocked()
	}
	s.aws.fail = failure{}
	moved := env.IssuerURL() != s.env.IssuerURL() || env.ClientID != s.env.ClientID || env.EndpointURL() != s.env.EndpointURL()
	s.env = env
	s.alone.off = false
	s.url.Store(&env.APIURL)
	s.fail = failure{}
	if !moved {
		return
	}
	s.epoch++
	s.held.Store(nil)
	s.dropAWSLocked()
	s.rejected = nil
	if !s.unsaved { // else memory has the only copy
		s.known, s.kept = false, nil
	}
}

// listed notes whether the store's list had this session.
func (s *session) listed(present bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hint = StateAbsent
	if present {
		s.hint = StateIdle
	}
}

// take waits for the turn; the caller gives it back with give.
func (s *session) take(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) give() { s.turn <- struct{}{} }

// tell says that the token in memory changed, if it is not before any more. Deferred
// ahead of mu's unlocking, it runs after that.
func (s *session) tell(before *held) {
	if s.held.Load() != before {
		s.a.changed(s.name)
	}
}

// drop takes the token out of memory, and the AWS credentials with it.
func (s *session) drop() {
	defer s.tell(s.held.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.Store(nil)
	s.dropAWSLocked()
}

// status renders the session; it takes mu for a moment and waits for nothing.
func (s *session) status() EnvironmentStatus {
	now := s.a.now()
	h := s.held.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := EnvironmentStatus{
		Name: s.name, APIURL: s.env.APIURL, AllowedHosts: slices.Clone(s.env.AllowedHosts),
		State: s.stateLocked(h, now), Refreshes: s.refreshes, RefreshFailures: s.refreshFailures,
		Degraded: s.fail.err != nil, SkewSeconds: s.skew.Seconds(),
	}
	st.Unattended = s.env.Unattended != nil
	if s.kept != nil {
		end := endOf(s.kept, s.env)
		st.Rotated = s.kept.generation > s.kept.first
		st.User, st.SignedInAt, st.APIKey = s.kept.Username, s.kept.SignedInAt.UTC().Truncate(time.Second), !s.kept.apiKey.IsZero()
		st.SignInEndsAt, st.Warning = end.at.UTC().Truncate(time.Second), end.warning(s.name, now)
	}
	if h.left(now) > 0 && !h.endless {
		st.TokenLifeSeconds = int64(h.lifetime.Seconds())
		st.ExpiresAt = now.Add(h.left(now)).UTC().Truncate(time.Second)
		st.NextRefresh = now.Add(max(s.due(h, now), 0)).UTC().Truncate(time.Second)
	}
	st.LastError, st.LastErrorAt = s.troubleLocked()
	s.awsStatusLocked(&st, now)
	return st
}

// stateLocked: the caller holds mu.
func (s *session) stateLocked(h *held, now time.Time) State {
	switch {
	case s.flight != nil:
		return StateRefreshing
	case s.rejected != nil:
		return StateRejected
	case s.unsaved:
		return StateUnsaved
	case h.left(now) > 0:
		return StateFresh
	case s.kept != nil:
		return StateIdle
	case s.known:
		return StateAbsent
	case s.hint != "":
		return s.hint
	default:
		return StateUnknown
	}
}

// troubleLocked is what a person should know; the caller holds mu.
func (s *session) troubleLocked() (string, time.Time) {
	switch {
	case s.unsaved && s.saveFail.err != nil:
		return s.saveFail.err.Error(), s.saveFail.at.UTC().Truncate(time.Second)
	case s.rejected != nil:
		return s.rejected.Error(), s.rejectedAt.UTC().Truncate(time.Second)
	case s.fail.err != nil:
		return s.fail.err.Error(), s.fail.at.UTC().Truncate(time.Second)
	case s.alone.err != nil:
		return s.alone.err.Error(), s.alone.tried.UTC().Truncate(time.Second)
	}
	return "", time.Time{}
}
