// A sign-in that several agents share: what a session does instead of reading the store and
// refreshing alone. Package store/shared has the rules by which agents do not lose it.
// fleetadopt.go has what the session takes from other agents, fleetpush.go what it gives them.

package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/shared"
)

// pendingSuffix makes the key under which an agent of a fleet stores what the fleet does not have
// yet: a sign-in, or a refresh token that replaced the fleet's.
const pendingSuffix = "--pending"

// MaxSharedName is the longest name of an environment that a fleet can share: the key of what is
// pending has to be a key of the store.
const MaxSharedName = 63 - len(pendingSuffix)

const (
	// sharedTimeout is how long a refresh waits for the other agents; one of them may have a
	// call under way that takes a minute.
	sharedTimeout = 90 * time.Second
	// coldSpread is over how long the agents of a fleet spread that start at the same time.
	coldSpread = 200 * time.Millisecond
)

// A sharedState is what a session of a fleet has besides the sign-in.
type sharedState struct {
	followed bool          // follow was called
	restored bool          // what an earlier agent left pending was read
	read     bool          // the fleet's record was read at least once
	record   shared.Record // the fleet's record that memory has, or that the sign-in came of
	token    *shared.Token // the ID token to push with the sign-in
	lease    *shared.Lease // held while this agent refreshes
	pending  bool          // the fleet does not have the sign-in in memory
	pushing  bool          // a push is under way
	backoff  backoff       // after pushes that failed
}

// describeStore describes where the sign-ins are.
func (a *Agent) describeStore() store.Info {
	if a.fleet != nil {
		return a.fleet.Describe()
	}
	return store.Describe(a.store)
}

// checkFleet refuses a name that is too long for the keys of what is pending.
func (a *Agent) checkFleet(c Config) error {
	for _, env := range c.Environments {
		if a.fleet != nil && len(env.Name) > MaxSharedName {
			return configError("environment name %q is too long for a shared store; use at most %d characters", env.Name, MaxSharedName)
		}
	}
	return nil
}

// followFleet makes all sessions follow the fleet, from now on also new ones.
func (a *Agent) followFleet() {
	a.configureMu.Lock()
	defer a.configureMu.Unlock()
	if a.fleet == nil {
		return
	}
	a.following = true
	for _, s := range a.sessions {
		s.follow()
	}
}

// follow takes what other agents do, until the agent ends.
func (s *session) follow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared.followed {
		return
	}
	s.shared.followed = true
	go s.agent.fleet.Follow(s.agent.ctx, s.name, shared.Follower{
		Changed:   s.followed,
		Abandoned: func() { _, _ = s.token.startOrJoin(s.token.current.Load(), true) },
		Recovered: s.fleetRecovered,
	})
}

// fleetRecovered tries at once what failed for the fleet's store.
func (s *session) fleetRecovered() {
	s.mu.Lock()
	if failed := s.token.backoff.err; failed != nil && failed.Op == opLoad {
		s.token.backoff = backoff{}
	}
	s.shared.backoff = backoff{}
	s.mu.Unlock()
	s.agent.wakeScheduler()
}

// restorePending reads what an earlier agent could not push, once. While that cannot be read, it
// may be the only good refresh token: the error is why nobody may refresh.
func (s *session) restorePending() error {
	s.mu.Lock()
	restored := s.shared.restored
	s.mu.Unlock()
	if restored {
		return nil
	}
	data, err := s.agent.read(s.agent.ctx, s.record.key)
	var signIn *storedSignIn
	switch {
	case err == nil:
		signIn, err = decodeRecord(data)
	case errors.Is(err, store.ErrNotFound):
		err = nil
	case !errors.Is(err, store.ErrDamaged):
		return err
	}
	if err != nil { // no other read will help
		s.agent.log.Error("cannot read the sign-in that the fleet may not have", "op", "fleet", "env", s.name, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared.restored = true; signIn != nil && s.signIn == nil && !s.shared.pending {
		s.signIn, s.loaded, s.shared.pending = signIn, true, true
		s.shared.record.Revision = signIn.parent.Revision
		s.agent.wakeScheduler()
	}
	return nil
}

// followed takes a record that the fleet's store has now.
func (s *session) followed(r shared.Record) {
	if s.restorePending() == nil { // else the next refresh reads both again
		s.adoptShared(r, false)
	}
}

// refreshShared makes replaces, the ID token in memory, a newer one: that of another agent, or
// that of a refresh for all of them.
func (s *session) refreshShared(replaces *cachedCredential) *Error {
	ctx, cancel := context.WithTimeout(s.agent.softCtx, sharedTimeout)
	defer cancel()
	if err := s.restorePending(); err != nil {
		return s.storeError(opLoad, err)
	}
	if replaces == nil {
		sleep(ctx, rand.N(coldSpread))
	}
	if err := s.pushPending(ctx); err != nil {
		return s.fleetFailed(err)
	}
	for {
		if err := s.readShared(ctx); err != nil {
			return s.fleetFailed(err)
		}
		// A record that is adopted from here on is newer than known, so that Acquire returns it.
		s.mu.Lock()
		known := s.shared.record
		s.mu.Unlock()
		if s.servedInstead(replaces) || s.publishAPIKey() {
			return nil
		}
		if err := s.checkSignIn(); err != nil && s.environment().Unattended == nil {
			return err
		}
		lease, newer, err := s.agent.fleet.Acquire(ctx, s.name, known)
		switch {
		case err != nil:
			return s.fleetFailed(err)
		case lease == nil:
			s.adoptShared(newer, false)
		default:
			return s.refreshLeased(lease, known)
		}
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// servedInstead reports whether another agent's ID token has taken the place of replaces, and
// lasts.
func (s *session) servedInstead(replaces *cachedCredential) bool {
	now := s.token.current.Load()
	if now == nil || now == replaces {
		return false
	}
	_, mandatory := s.token.provider.windows(now)
	return now.left(s.agent.now()) > mandatory
}

// readShared reads the fleet's record where memory does not have it, or has one of no use.
func (s *session) readShared(ctx context.Context) error {
	s.mu.Lock()
	known := s.shared.read && !s.unusableLocked()
	mine := s.shared.record
	if !known {
		s.checkedAt = s.agent.now()
	}
	s.mu.Unlock()
	if known {
		return nil
	}
	r, err := s.agent.fleet.Read(ctx, s.name)
	if errors.Is(err, shared.ErrRolledBack) && mine.SignIn != nil {
		return nil // memory has a newer one, and Acquire compares them
	}
	if err == nil {
		s.adoptShared(r, false)
	}
	return err
}

// loadShared is loadSignIn for a fleet.
func (s *session) loadShared(ctx context.Context) (*storedSignIn, *Error) {
	r, err := s.agent.fleet.Read(ctx, s.name)
	if err != nil {
		return nil, s.fleetError(err)
	}
	if r.SignIn == nil {
		return nil, nil
	}
	signIn, err := decodeRecord(r.SignIn)
	if err != nil {
		return nil, s.fleetError(err)
	}
	return signIn, nil
}

// refreshLeased refreshes known, or signs in if that is of no use. No other agent does the same
// meanwhile, as long as lease is renewed.
func (s *session) refreshLeased(lease *shared.Lease, known shared.Record) *Error {
	s.mu.Lock()
	s.shared.lease = lease
	epoch, lineage := s.epoch, s.lineage
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.shared.lease = nil
		s.mu.Unlock()
		lease.Release(context.WithoutCancel(s.agent.ctx))
	}()
	if err := s.checkSignIn(); err != nil {
		return s.tryUnattended(lineage, err)
	}
	again := func(err *Error) bool { return !s.changedSince(epoch, lineage) && s.mayRetry(err) }
	err := withRetries(s.agent.ctx, maxAttempts, again, s.refreshOnce)
	if err == nil || err.Code != CodeLoginRequired || s.changedSince(epoch, lineage) {
		return err
	}
	// An agent that was suspended, or cut off from the store, may have used the refresh token.
	newest, unread := s.agent.fleet.Read(s.agent.ctx, s.name)
	switch {
	case unread != nil && !errors.Is(unread, shared.ErrRolledBack):
		return s.fleetFailed(unread)
	case newest.Revision > known.Revision:
		s.adoptShared(newest, true)
		return s.changedError("refresh")
	}
	err = s.markRejected(err)
	if err := s.tryUnattended(lineage, err); err == nil {
		return nil
	}
	s.shareRejected(known, err)
	return err
}

// fleetError makes an error of the fleet's store one of this environment.
func (s *session) fleetError(err error) *Error {
	e := s.storeError(opLoad, err)
	if e.Code == CodeUnavailable {
		e.Message = "the fleet's store cannot be used, and nobody refreshes the shared sign-in without it: " + e.Message
		e.Hint = "the agent tries again by itself"
	}
	return e
}

// fleetFailed returns the error for a refresh that the fleet's store does not allow. If the
// environment says so, the agent signs in for itself meanwhile, once it has no token any more.
func (s *session) fleetFailed(err error) *Error {
	e := s.fleetError(err)
	s.mu.Lock()
	env, lineage := s.env, s.lineage
	s.mu.Unlock()
	if !env.FallbackOwn || env.Unattended == nil || s.servedInstead(nil) {
		return e
	}
	return s.tryUnattendedFor(lineage, e, true)
}

// publishOwn hands out the ID token of a sign-in that is not shared, until it ends. Its refresh
// token is revoked at once: nothing keeps it. The ID token is valid all the same.
func (s *session) publishOwn(res loginResult, lineage int) *Error {
	s.inFleet(res.token)
	s.publish(res.token, res.skew, res.epoch, lineage, nil)
	s.agent.log.Warn("signed in for this agent alone, because the fleet's store cannot be used", "op", "login", "env", s.name)
	s.agent.goTracked(func() { _ = s.revoke(res.env, res.signIn) })
	return nil
}

// fleetStatusLocked adds to st what is known of the fleet. The caller holds mu.
func (s *session) fleetStatusLocked(st *EnvironmentStatus) {
	if s.agent.fleet == nil {
		return
	}
	f := s.agent.fleet.Status(s.name)
	st.Fleet = &FleetStatus{Revision: f.Revision, Writer: f.Writer, Holder: f.Holder, Members: f.Members, Pending: s.shared.pending}
	if f.Err == nil {
		return
	}
	st.Degraded = true
	st.Fleet.Error, st.Fleet.ErrorSince = f.Err.Error(), f.ErrAt.UTC().Truncate(time.Second)
	if st.LastError == "" {
		st.LastError, st.LastErrorAt = st.Fleet.Error, st.Fleet.ErrorSince
	}
}
