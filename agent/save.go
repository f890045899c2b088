// The way of a sign-in between store and memory: see session.go for who owns what.

package agent

import (
	"context"
	"errors"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// recheckInterval is how often the store is read again, while requests ask for it, for a
// sign-in that was refused or is not there: a person or another agent may have put a newer one.
const recheckInterval = 10 * time.Second

// opLoad marks the failure to read the store. It made no call to the provider, so the next
// attempt need not wait once the store is back.
const opLoad = "load"

// ensureLoaded returns the sign-in, from the store if memory has none that works, or why there
// is none.
func (s *session) ensureLoaded(ctx context.Context) *Error {
	s.mu.Lock()
	works := s.loaded && s.signIn != nil && s.rejected == nil
	trusted := works || s.signingOut || s.record.pendingLocked() // memory is newer than the store
	epoch, lineage := s.epoch, s.lineage
	s.mu.Unlock()
	if trusted {
		return s.checkSignIn()
	}
	signIn, failed := s.loadSignIn(ctx)
	s.mu.Lock()
	switch {
	case s.epoch != epoch || s.lineage != lineage:
		s.mu.Unlock()
		return s.changedError("refresh")
	case failed == nil:
		s.checkedAt = s.agent.now()
		s.takeLoadedLocked(signIn)
	case s.rejected != nil && failed.Code != CodeLoginRequired: // not readable now; what was known still holds
		failed = s.rejected.again()
		fallthrough
	default:
		s.checkedAt = s.agent.now()
	}
	s.mu.Unlock()
	if failed != nil && failed.Code == CodeLoginRequired {
		failed = s.markRejected(failed)
	}
	if failed != nil {
		return failed
	}
	return s.checkSignIn()
}

// takeLoadedLocked makes what the store has the sign-in, unless that is the one that was
// refused. The caller holds mu.
func (s *session) takeLoadedLocked(signIn *storedSignIn) {
	if s.rejected != nil && s.signIn != nil && signIn != nil && s.signIn.sameTokenAs(signIn) {
		if errors.Is(s.rejected, errElsewhere) && signIn.belongsTo(s.env) {
			s.rejected = nil
		}
		return
	}
	if s.signIn != nil && (signIn == nil || s.signIn.issued.Subject != signIn.issued.Subject) {
		s.clearAWSLocked()
	}
	s.loaded, s.signIn, s.rejected = true, signIn, nil
	if signIn != nil {
		s.absent = nil
	}
}

// checkSignIn returns why the sign-in in memory cannot be used, or nil.
func (s *session) checkSignIn() *Error {
	s.mu.Lock()
	if s.overLocked() {
		defer s.mu.Unlock()
		s.agent.wakeScheduler()
		e := s.errorf("refresh", CodeLoginRequired, "the time of the sign-in, which was limited, is over")
		e.Hint = s.loginHint()
		return e
	}
	signIn, env, rejected := s.signIn, s.env, s.rejected
	if signIn == nil && rejected == nil {
		defer s.mu.Unlock()
		if s.absent != nil {
			return s.absent.again()
		}
		s.absent = s.notSignedIn("refresh")
		return s.absent
	}
	s.mu.Unlock()
	if rejected != nil {
		return rejected.again()
	}
	return s.checkPlace(signIn, env)
}

// checkPlace refuses a sign-in that was made elsewhere than where env is.
func (s *session) checkPlace(signIn *storedSignIn, env Environment) *Error {
	reason := signIn.mismatch(env)
	if reason == "" {
		return nil
	}
	e := s.errorf("refresh", CodeLoginRequired, "%s", reason)
	e.Hint, e.Err = s.loginHint(), errElsewhere
	return s.markRejected(e)
}

// errElsewhere is wrapped by the refusal of a sign-in that belongs to another place.
var errElsewhere = errors.New("made elsewhere")

// loadSignIn reads the store. It returns nil without an error if there is no record.
func (s *session) loadSignIn(ctx context.Context) (*storedSignIn, *Error) {
	if s.agent.fleet != nil {
		return s.loadShared(ctx)
	}
	data, err := s.agent.read(ctx, s.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, s.storeError(opLoad, err)
	}
	signIn, err := decodeRecord(data)
	if err != nil {
		e := s.errorf(opLoad, CodeLoginRequired, "%s", err)
		e.Hint = s.loginHint()
		if errors.Is(err, errWrapped) {
			e.Code, e.Hint = CodeLocked, "run: kyc-agentd unlock"
		}
		if errors.Is(err, errNewer) {
			e.Hint = "upgrade kyc-agentd, or " + e.Hint
		}
		return nil, e
	}
	return signIn, nil
}

// reloadRotated adopts a record whose refresh token something else has replaced (a second
// agent on the same store), and reports whether there was one: the refusal was then only
// about the old refresh token.
func (s *session) reloadRotated(ctx context.Context) bool {
	s.mu.Lock()
	refused, lineage := s.signIn, s.lineage
	s.mu.Unlock()
	signIn, err := s.loadSignIn(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkedAt = s.agent.now()
	if err != nil || signIn == nil || s.lineage != lineage || s.signIn != refused || refused == nil ||
		s.record.pendingLocked() || signIn.generation <= refused.generation || signIn.sameTokenAs(refused) {
		return false
	}
	s.takeLoadedLocked(signIn)
	return true
}

// saveLocked makes signIn the one in memory and starts to write it. essential means that its
// refresh token is new: until it is written, the sign-in is unsaved. The result is the version
// to wait for. The caller holds mu.
func (s *session) saveLocked(signIn *storedSignIn, essential, prompt bool) int {
	s.signIn, s.loaded = signIn, true
	data, err := signIn.encode()
	if err != nil { // it consists of strings and a time
		return s.record.wanted
	}
	version := s.record.setLocked(data, prompt)
	if essential {
		s.essential = version
	}
	return version
}

// unsavedLocked reports whether the newest refresh token is in memory only. The caller holds mu.
func (s *session) unsavedLocked() bool { return s.signIn != nil && s.record.stored < s.essential }

// waitSaved waits until the store has that version of the record, but not longer than limit:
// then the sign-in counts as unsaved, and the write goes on.
func (s *session) waitSaved(version int, limit time.Duration) {
	s.mu.Lock()
	s.saving = true
	s.mu.Unlock()
	err := s.record.wait(version, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saving = false
	if err != nil && s.saveBackoff.err == nil {
		s.saveFailedLocked(err)
	}
}

// recordWritten handles the end of a write of the record. The caller holds mu.
func (s *session) recordWritten(err error) {
	if err != nil {
		s.saveFailedLocked(err)
		return
	}
	if s.saveBackoff.err != nil {
		s.agent.log.Info("the store is up to date again", "op", "save", "env", s.name)
	}
	s.saveBackoff = backoff{}
	if s.signIn != nil {
		s.listedState = StateIdle
	}
	if !s.unsavedLocked() && s.unanswered.IsZero() {
		s.agent.markers.End(s.name)
	}
	if !s.record.pendingLocked() && !s.shared.pending && len(s.replaced) > 0 {
		s.agent.goTracked(s.revokeReplaced)
	}
}

// saveFailedLocked records that the record could not be written. The caller holds mu.
func (s *session) saveFailedLocked(err error) {
	e := s.storeError("save", err)
	if s.unsavedLocked() {
		e.Message = "the newest refresh token is not saved, only in memory: " + e.Message
		e.Hint = "do not stop kyc-agentd before that is corrected: it saves again by itself"
		s.agent.log.Error("the newest refresh token could not be saved; trying again", "op", "save", "env", s.name, "code", string(e.Code), "error", err)
	} else {
		s.agent.log.Debug("the record could not be written; trying again", "op", "save", "env", s.name, "code", string(e.Code), "error", err)
	}
	s.saveBackoff.recordFailure(e, s.agent.now())
	s.agent.wakeScheduler()
}

// saveIfDue writes the record again if the last write failed, and returns how long until the
// scheduler should call it again; 0 means not before it is woken.
func (s *session) saveIfDue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.record.pendingLocked() || s.record.running != nil {
		return 0
	}
	if pause := s.saveBackoff.remaining(s.agent.now(), false); pause > 0 {
		return pause
	}
	s.record.writeLocked()
	return backoffMin
}

// saveLast writes what is not written yet, for Close.
func (s *session) saveLast(limit time.Duration) {
	s.mu.Lock()
	version, pending := s.record.wanted, s.record.pendingLocked()
	if pending {
		s.record.writeLocked()
	}
	s.mu.Unlock()
	if !pending {
		return
	}
	if err := s.record.wait(version, limit); err != nil {
		s.agent.log.Error("the store does not have the newest sign-in at the end; at the next start: kyc-agentd login "+s.name,
			"op", "save", "env", s.name, "error", err)
	}
}
