// What a session takes from the other agents of a fleet.

package agent

import (
	"math/rand/v2"
	"time"

	"github.com/legaltalent/kyc-agent/store/shared"
)

// adoptShared takes a record of the fleet that is newer than that in memory. What this agent has
// pending stays, because a push finds out which of the two is newer; force is for after that.
func (s *session) adoptShared(r shared.Record, force bool) {
	signIn, failed := s.decodeShared(r)
	s.mu.Lock()
	defer s.unlockAndNotify(s.token.current.Load())
	if r.Revision == 0 && s.signIn == nil { // a request looks again: somebody may sign in at any moment
		s.listedState = StateAbsent
		return
	}
	s.shared.read = true
	switch {
	case s.shared.pending && !force:
		s.agent.wakeScheduler()
		return
	case r.Revision <= s.shared.record.Revision && !force:
		return
	}
	if s.signIn == nil || signIn == nil || !s.signIn.sameSignInAs(signIn) {
		s.lineage++ // a login or a logout of another agent
		s.clearFailuresLocked()
		s.token.current.Store(nil)
		s.clearAWSLocked()
	}
	if s.shared.pending {
		s.shared.pending = false
		s.record.setLocked(nil, false)
	}
	s.essential = 0
	s.shared.record, s.signIn, s.loaded, s.absent = r, signIn, true, nil
	s.rejected = failed
	switch {
	case failed != nil:
		s.rejectedAt = s.agent.now()
		s.token.current.Store(nil)
		s.clearAWSLocked()
	case signIn != nil:
		s.listedState = StateIdle
		s.takeTokenLocked(signIn, r.Token)
	default:
		s.listedState = StateAbsent
	}
	s.agent.wakeScheduler()
}

// decodeShared returns the sign-in of r, nil if it has none, and why it cannot be used.
func (s *session) decodeShared(r shared.Record) (signIn *storedSignIn, failed *Error) {
	if r.SignIn != nil {
		var err error
		if signIn, err = decodeRecord(r.SignIn); err != nil {
			failed = s.errorf(opLoad, CodeLoginRequired, "%s", err)
			failed.Hint = s.loginHint()
		}
	}
	if r.Rejected != "" {
		failed = s.errorf("refresh", CodeLoginRequired, "%s", r.Rejected)
		failed.Hint = s.loginHint()
	}
	return signIn, failed
}

// takeTokenLocked publishes the ID token that came with a record. The agent that got it has
// verified it, and nobody without the fleet's key can have written it. The caller holds mu.
func (s *session) takeTokenLocked(signIn *storedSignIn, t *shared.Token) {
	if t == nil || s.agent.lockedError() != nil || !signIn.belongsTo(s.env) || s.env.HandOutAccessTokens && t.Access == "" {
		return
	}
	cred := &cachedCredential{
		token: NewSecret(t.ID), lifetime: t.Lifetime,
		requestedWall: s.agent.now().Add(-time.Since(t.Since)), requestedMono: t.Since,
	}
	if s.env.HandOutAccessTokens {
		cred.access = NewSecret(t.Access)
	}
	s.inFleet(cred)
	cred.describe(signIn, s.env)
	if cred.left(s.agent.now()) <= 0 {
		return
	}
	s.token.backoff = backoff{}
	s.token.current.Store(cred)
}

// inFleet makes this agent begin to refresh cred at another time than the others: the first of
// them does it for all.
func (s *session) inFleet(cred *cachedCredential) {
	if s.agent.fleet == nil || cred.neverExpires {
		return
	}
	cred.jitter = 0
	cred.delay = rand.N(cred.advisoryWindow(s.agent.view.Load().config.RefreshMargin)/3 + 1)
}

// shareToken returns cred as other agents take it.
func (s *session) shareToken(cred *cachedCredential) *shared.Token {
	if cred.neverExpires {
		return nil
	}
	return &shared.Token{
		ID: cred.token.Reveal(), Access: cred.access.Reveal(), Lifetime: cred.lifetime,
		RequestedAt: s.agent.fleet.Now().Add(-time.Since(cred.requestedMono)),
	}
}
