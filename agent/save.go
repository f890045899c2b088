package agent

import (
	"context"
	"errors"

	"github.com/legaltalent/kyc-agent/store"
)

// ensureLoaded loads the sign-in from the store unless that is done. The caller has the turn.
func (s *session) ensureLoaded(ctx context.Context) *Error {
	s.mu.Lock()
	known, signIn := s.loaded, s.signIn
	s.mu.Unlock()
	if !known {
		var err *Error
		if signIn, err = s.loadSignIn(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		s.loaded, s.signIn = true, signIn
		s.mu.Unlock()
	}
	return s.checkSignIn(signIn)
}

// loadSignIn asks the store; nil without an error means that nothing is kept.
func (s *session) loadSignIn(ctx context.Context) (*storedSignIn, *Error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	data, err := s.agent.store.Get(ctx, s.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, s.storeError("refresh", err)
	}
	signIn, err := decodeRecord(data)
	if err != nil {
		e := s.errorf("refresh", CodeLoginRequired, "%s", err)
		e.Hint = s.loginHint()
		if errors.Is(err, errNewer) {
			e.Hint = "upgrade kyc-agentd, or " + e.Hint
		}
		s.markRejected(e)
		return nil, e
	}
	return signIn, nil
}

// reloadRotated takes over a record that somebody else rotated meanwhile (a second
// agent on the same store): the refusal was then about our old token only.
func (s *session) reloadRotated(ctx context.Context) bool {
	signIn, err := s.loadSignIn(ctx)
	if err != nil || signIn == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signIn == nil || s.unsaved || signIn.generation <= s.signIn.generation || signIn.issued.RefreshToken.Equal(s.signIn.issued.RefreshToken) {
		return false
	}
	if signIn.issued.Subject != s.signIn.issued.Subject {
		s.clearAWSLocked()
	}
	s.signIn = signIn
	return true
}

// saveSignIn makes signIn the sign-in: in memory at once, for it may be the only good copy,
// and in the store before it returns, if the store can.
func (s *session) saveSignIn(signIn *storedSignIn) {
	s.mu.Lock()
	s.signIn, s.loaded, s.unsaved = signIn, true, true
	s.mu.Unlock()
	s.save(context.Background())
}

// save writes the sign-in to the store. ctx says only whether a person may be
// prompted: the write has its own deadline, and the agent's end does not cut it
// off. The caller has the turn.
func (s *session) save(ctx context.Context) {
	s.mu.Lock()
	signIn := s.signIn
	s.mu.Unlock()
	if signIn == nil {
		return
	}
	err := s.put(ctx, signIn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.unsaved, s.saveBackoff, s.listedState = false, backoff{}, StateIdle
		return
	}
	e := s.storeError("save", err)
	e.Message = "the newest refresh token is not saved, only in memory: " + e.Message
	s.saveBackoff.recordFailure(e, s.agent.now())
	s.agent.log.Error("the newest refresh token could not be saved; trying again", "op", "save", "env", s.name, "code", string(e.Code), "error", err)
	s.agent.wakeScheduler()
}

func (s *session) put(ctx context.Context, signIn *storedSignIn) error {
	data, err := signIn.encode()
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	limit := storeTimeout
	if store.MayPrompt(ctx) {
		limit = promptTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.agent.store.Put(ctx, s.name, data)
}

// saveAgain is the scheduler's retry of a save that failed.
func (s *session) saveAgain() {
	if s.acquire(s.agent.ctx) != nil {
		return
	}
	defer s.release()
	s.mu.Lock()
	wait := !s.unsaved || s.saveBackoff.remaining(s.agent.now(), false) > 0
	s.mu.Unlock()
	if !wait {
		s.save(context.Background())
	}
}

// saveLast is Close's: nothing else runs any more.
func (s *session) saveLast(ctx context.Context) {
	if s.acquire(ctx) != nil {
		return
	}
	defer s.release()
	s.mu.Lock()
	unsaved := s.unsaved
	s.mu.Unlock()
	if unsaved {
		s.save(context.Background())
	}
}
