// What a session gives to the other agents of a fleet.

package agent

import (
	"context"
	"errors"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/shared"
)

// shareRefreshed pushes what try brought. It returns false if that is not to be published: a
// login or a logout came first, or another agent's record is newer. If the fleet's store cannot
// be reached, the new refresh token is pending here, and the ID token is for this agent's
// programs all the same.
func (s *session) shareRefreshed(try *refreshTry, refreshed *storedSignIn, cred *cachedCredential) bool {
	s.inFleet(cred)
	s.mu.Lock()
	if s.lineage != try.lineage || s.epoch != try.epoch {
		s.mu.Unlock()
		return false
	}
	refreshed.parent = try.parent
	s.signIn, s.shared.token = refreshed, s.shareToken(cred)
	if refreshed.generation != try.signIn.generation && try.signIn.generation == try.signIn.firstGeneration {
		s.shared.record.First = firstTokenRecord(try.signIn)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.agent.ctx), saveTimeout)
	defer cancel()
	err := s.push(ctx)
	return !errors.Is(err, shared.ErrSuperseded)
}

// push gives the sign-in in memory to the fleet, with the lease if this agent has it. When it
// returns ErrSuperseded, the session has another agent's record.
func (s *session) push(ctx context.Context) error {
	s.mu.Lock()
	signIn, lineage, lease := s.signIn, s.lineage, s.shared.lease
	r := shared.Record{First: s.shared.record.First, Token: s.shared.token}
	s.mu.Unlock()
	if signIn == nil {
		return nil
	}
	bare := *signIn
	bare.parent = shared.Parent{}
	var err error
	if r.SignIn, err = bare.encode(); err != nil {
		return err
	}
	var stored shared.Record
	if lease != nil {
		stored, err = lease.Push(ctx, signIn.parent, r)
	} else {
		stored, err = s.agent.fleet.Push(ctx, s.name, signIn.parent, r)
	}
	for errors.Is(err, shared.ErrSuperseded) && refreshedLater(signIn, r.Token, stored) {
		s.agent.log.Info("another agent has stored a refresh token that this one's has replaced; storing this one's", "op", "fleet", "env", s.name, "member", stored.Writer)
		s.setParent(signIn, stored.Parent())
		stored, err = s.agent.fleet.Push(ctx, s.name, stored.Parent(), r)
	}
	switch {
	case errors.Is(err, shared.ErrSuperseded):
		s.agent.log.Info("another agent has a newer sign-in; using that", "op", "fleet", "env", s.name, "member", stored.Writer)
		if !s.changedSinceLineage(lineage) {
			s.adoptShared(stored, true)
		}
		return err
	case err != nil:
		s.pushFailed(err)
		return err
	}
	s.pushed(stored, signIn, lineage)
	return nil
}

// refreshedLater reports whether signIn came of a later refresh of the same sign-in than what another
// agent has stored. Within the grace period Cognito takes a replaced refresh token again, and
// what it gives then ends what it gave before: of two agents that refreshed, the later one has the
// only token that works, whoever was first to store. What the other found refused is not that one.
func refreshedLater(signIn *storedSignIn, mine *shared.Token, stored shared.Record) bool {
	theirs, err := decodeRecord(stored.SignIn)
	if stored.SignIn == nil || err != nil || !signIn.sameSignInAs(theirs) || signIn.sameTokenAs(theirs) {
		return false
	}
	return stored.Rejected != "" || mine != nil && stored.Token != nil && stored.Token.RequestedAt.Before(mine.RequestedAt)
}

// setParent makes signIn, if it is still the one in memory, replace parent, also after a push that
// fails.
func (s *session) setParent(signIn *storedSignIn, parent shared.Parent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signIn == signIn {
		child := *signIn
		child.parent = parent
		s.signIn = &child
	}
}

func (s *session) changedSinceLineage(lineage int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lineage != lineage
}

// pushed records that the fleet has signIn.
func (s *session) pushed(stored shared.Record, signIn *storedSignIn, lineage int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lineage != lineage || s.signIn == nil || !s.signIn.sameTokenAs(signIn) {
		return // there is something newer, which is pushed for itself
	}
	s.shared.record, s.shared.read, s.shared.backoff = stored, true, backoff{}
	s.essential = 0
	if s.shared.pending {
		s.shared.pending = false
		s.record.setLocked(nil, false)
	}
	if len(s.replaced) > 0 {
		s.agent.goTracked(s.revokeReplaced)
	}
}

func (s *session) pushFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.fleetError(err)
	if s.shared.pending {
		s.agent.log.Error("the fleet does not have the newest refresh token yet; trying again", "op", "fleet", "env", s.name, "error", err)
	}
	s.shared.backoff.recordFailure(e, s.agent.now())
	s.agent.wakeScheduler()
}

// pushPending pushes what is pending, and returns nil if there is nothing.
func (s *session) pushPending(ctx context.Context) error {
	s.mu.Lock()
	pending := s.shared.pending && s.signIn != nil
	s.mu.Unlock()
	if !pending {
		return nil
	}
	if err := s.push(ctx); !errors.Is(err, shared.ErrSuperseded) {
		return err
	}
	return nil
}

// pushIfDue pushes again what could not be pushed, and returns how long until the scheduler
// should call it again; 0 means not before it is woken.
func (s *session) pushIfDue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent.fleet == nil || !s.shared.pending || s.shared.pushing || s.shared.lease != nil || s.token.inFlight != nil {
		return 0
	}
	if pause := min(s.shared.backoff.remaining(s.agent.now(), false), 2*backoffMin); pause > 0 {
		return pause
	}
	s.shared.pushing = s.agent.goTracked(func() {
		ctx, cancel := context.WithTimeout(s.agent.ctx, storeTimeout)
		defer cancel()
		_ = s.pushPending(ctx)
		s.mu.Lock()
		s.shared.pushing = false
		s.mu.Unlock()
		s.agent.wakeScheduler()
	})
	return backoffMin
}

// shareLogin pushes the sign-in that a login has put in memory.
func (s *session) shareLogin(limit time.Duration) {
	if s.agent.fleet == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.agent.ctx), limit)
	defer cancel()
	_ = s.push(ctx)
}

// shareLogout removes the sign-in from the fleet.
func (s *session) shareLogout(limit time.Duration) error {
	if s.agent.fleet == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.agent.ctx), min(limit, storeTimeout))
	defer cancel()
	s.mu.Lock()
	s.shared.pending, s.shared.token = false, nil
	parent := shared.Parent{Revision: s.shared.record.Revision, Any: true}
	s.mu.Unlock()
	stored, err := s.agent.fleet.Push(ctx, s.name, parent, shared.Record{})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signIn == nil {
		s.shared.record = stored
	}
	return nil
}

// shareRejected tells the fleet that Cognito has refused known, so that not each agent asks.
func (s *session) shareRejected(known shared.Record, refusal *Error) {
	if known.SignIn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.agent.ctx), saveTimeout)
	defer cancel()
	r := shared.Record{SignIn: known.SignIn, First: known.First, Rejected: refusal.Message}
	stored, err := s.agent.fleet.Push(ctx, s.name, known.Parent(), r)
	switch {
	case errors.Is(err, shared.ErrSuperseded):
		s.adoptShared(stored, true)
	case err == nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.rejected != nil {
			s.shared.record = stored
		}
	}
}

// checkShared returns why a login could not be given to the fleet, before anything is asked of
// Cognito. What was rolled back or swapped is replaced by it.
func (s *session) checkShared(ctx context.Context) error {
	if s.agent.fleet == nil {
		return nil
	}
	_, err := s.agent.fleet.Read(ctx, s.name)
	if err == nil || errors.Is(err, shared.ErrRolledBack) || errors.Is(err, shared.ErrSwapped) {
		return nil
	}
	e := s.storeError("login", err)
	if errors.Is(err, store.ErrUnavailable) {
		e.Hint = "the fleet gets a sign-in only through its store; try again when that answers"
	}
	return e
}

// pushLast gives the fleet a last chance to take what it does not have. The folder of this agent
// may not outlive it, as that of a container.
func (a *Agent) pushLast(limit time.Duration) {
	a.configureMu.Lock()
	defer a.configureMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, s := range a.sessions {
		if a.fleet != nil && s.pushPending(ctx) != nil {
			a.log.Error("the fleet does not have the newest refresh token; this agent pushes it after its next start", "op", "fleet", "env", s.name)
		}
	}
}
