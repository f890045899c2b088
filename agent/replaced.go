// Sign-ins that are to be revoked: those that a login replaced, and those that came too late.

package agent

import (
	"context"
	"time"
)

// replacedSuffix makes the key under which a sign-in is stored from just before another one
// replaces it until it is revoked. Otherwise an agent that is killed in between would leave it
// valid for weeks, out of the reach of any logout.
const replacedSuffix = "--replaced"

// noteReplaced stores the present sign-in as one that is about to be replaced. It returns it
// and its first refresh token: those that are to be revoked once another one is stored.
func (s *session) noteReplaced(limit time.Duration) (present []*storedSignIn) {
	s.mu.Lock()
	loaded, signIn := s.loaded, s.signIn
	s.mu.Unlock()
	if !loaded {
		signIn, _ = s.loadSignIn(s.agent.ctx) // what cannot be read cannot be revoked
	}
	if signIn == nil || !signIn.apiKey.IsZero() {
		return nil
	}
	present = []*storedSignIn{signIn, s.loadFirstToken(s.agent.ctx)}
	data, err := signIn.encode()
	if err != nil {
		return present
	}
	s.mu.Lock()
	version := s.replacedRecord.setLocked(data, false)
	s.mu.Unlock()
	if err := s.replacedRecord.wait(version, min(limit, saveTimeout)); err != nil {
		s.agent.log.Debug("cannot store which sign-in is to be revoked", "op", "login", "env", s.name, "error", err)
	}
	return present
}

// replaceLocked makes the present sign-ins those to revoke. The caller holds mu and replaces
// the sign-in.
func (s *session) replaceLocked(present []*storedSignIn) {
	if len(present) > 0 && s.signIn != nil {
		present[0] = s.signIn // its refresh token may have been replaced meanwhile
	}
	s.replaced = append(s.replaced, present...)
}

// revokeReplaced revokes the sign-ins that a stored one replaced. While the new one is not
// stored nothing is revoked: the previous one is all that a crash would leave.
func (s *session) revokeReplaced() {
	s.mu.Lock()
	replaced := s.replaced
	s.replaced = nil
	s.mu.Unlock()
	revoked := len(replaced) > 0
	var again []*storedSignIn
	var failed *Error
	for _, signIn := range replaced {
		err := s.revoke(s.environment(), signIn)
		if err == nil {
			continue
		}
		revoked = false
		if e := s.wrap("logout", err); e.Code == CodeUnavailable {
			again, failed = append(again, signIn), e
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if revoked && len(s.replaced) == 0 {
		s.replacedRecord.setLocked(nil, false)
	}
	s.replaced = append(s.replaced, again...)
	if failed == nil {
		s.revokeBackoff = backoff{}
		return
	}
	s.revokeBackoff.recordFailure(failed, s.agent.now())
	s.agent.wakeScheduler()
}

// revokeIfDue tries again to revoke what could not be revoked for a while, and returns how long
// until the scheduler should call it again; 0 means not before it is woken.
func (s *session) revokeIfDue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.replaced) == 0 || s.revokeBackoff.err == nil || s.record.pendingLocked() || s.shared.pending {
		return 0
	}
	if pause := s.revokeBackoff.remaining(s.agent.now(), false); pause > 0 {
		return pause
	}
	s.agent.goTracked(s.revokeReplaced)
	return 0
}

// resumeRevocation revokes the sign-in that an earlier agent was about to revoke.
func (s *session) resumeRevocation() {
	data, err := s.agent.read(s.agent.ctx, s.name+replacedSuffix)
	if err != nil {
		return
	}
	replaced, err := decodeRecord(data)
	current, failed := s.loadSignIn(s.agent.ctx)
	if failed != nil {
		return // the next start knows more
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil || current != nil && current.sameSignInAs(replaced): // the login did not get as far as that
		s.replacedRecord.setLocked(nil, false)
	case s.lineage == 0:
		s.replaced = append(s.replaced, replaced)
		s.agent.goTracked(s.revokeReplaced)
	}
}

// revoke revokes signIn at the provider, if env is where it was made. A failure is logged.
func (s *session) revoke(env Environment, signIn *storedSignIn) error {
	if signIn == nil || !signIn.apiKey.IsZero() || signIn.issued.RefreshToken.IsZero() {
		return nil
	}
	log := s.agent.log.With("op", "logout", "env", s.name, "user", signIn.user(), "signed_in_at", signIn.issued.SignedInAt)
	if reason := signIn.mismatch(env); reason != "" {
		log.Warn("not revoked at Cognito, and valid there until it expires", "issuer", signIn.at.issuer, "error", reason)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.agent.ctx), revokeTimeout)
	defer cancel()
	err := s.agent.auth.Revoke(ctx, env, signIn.issued)
	if err != nil {
		e := s.wrap("logout", err)
		log.Warn("not revoked at Cognito, and valid there until it expires", "code", string(e.Code), "error", e.Error())
	}
	return err
}

// revokeLate revokes a sign-in, or a refresh token, that came when nobody wanted it any more.
func (s *session) revokeLate(env Environment, signIn *storedSignIn) {
	if s.revoke(env, signIn) == nil && signIn.apiKey.IsZero() {
		s.agent.log.Info("revoked a refresh token that came too late", "op", "logout", "env", s.name)
	}
}
