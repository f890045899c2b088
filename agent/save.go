// The way of a sign-in between store and memory: see session.go for who owns what.

package agent

import (
	"context"
	"errors"

	"github.com/legaltalent/kyc-agent/store"
)

// ensureLoaded loads the sign-in from the store unless it is in memory, and checks it. The
// caller holds the write lock.
func (s *session) ensureLoaded(ctx context.Context) *Error {
	s.mu.Lock()
	loaded, signIn := s.loaded, s.signIn
	s.mu.Unlock()
	if !loaded {
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

// loadSignIn reads the store. It returns nil without an error if there is no record.
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

// reloadRotated adopts a record whose refresh token something else has rotated (a second
// agent on the same store), and reports whether there was one: the refusal was then only
// about the old refresh token.
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

// saveSignIn replaces the sign-in: in memory at once, because signIn may be the only good
// copy, and in the store before it returns, if the store works.
func (s *session) saveSignIn(signIn *storedSignIn) {
	s.mu.Lock()
	s.signIn, s.loaded, s.unsaved = signIn, true, true
	s.mu.Unlock()
	s.save(context.Background())
}

// save writes the sign-in to the store. ctx only says whether the store may prompt a
// person: the write has its own deadline and goes on when the agent ends. The caller holds
// the write lock.
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

// saveAgain retries a save that failed, for the scheduler.
func (s *session) saveAgain() {
	if s.acquire(s.agent.ctx) != nil {
		return
	}
	defer s.release()
	s.mu.Lock()
	due := s.unsaved && s.saveBackoff.remaining(s.agent.now(), false) <= 0
	s.mu.Unlock()
	if due {
		s.save(context.Background())
	}
}

// saveLast saves what is unsaved, for Close: nothing else runs any more.
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
