package agent

import (
	"context"

	"github.com/legaltalent/kyc-agent/store"
)

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
