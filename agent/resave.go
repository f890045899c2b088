package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// storeCheck is how often the agent looks whether the store has lost what is in memory as well:
// somebody may remove its folder, and nothing may be rotated until the next start.
const storeCheck = 30 * time.Second

// watchStore saves everything again when the store has lost something, until the agent ends.
func (a *Agent) watchStore() {
	ticker := time.NewTicker(storeCheck)
	defer ticker.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-ticker.C:
			a.resaveLost()
		}
	}
}

// resaveLost looks once.
func (a *Agent) resaveLost() {
	checker, ok := a.store.(store.Checker)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(a.ctx, storeTimeout)
	defer cancel()
	if intact, err := checker.Intact(ctx); err != nil || intact {
		return
	}
	a.configureMu.Lock()
	defer a.configureMu.Unlock()
	for _, s := range a.sessions {
		s.resave()
	}
}

// resave starts to write again all that memory has of the session's values in the store.
func (s *session) resave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signIn != nil && s.rejected == nil && (s.agent.fleet == nil || s.shared.pending) {
		s.saveLocked(s.signIn, true, false)
		s.agent.log.Warn("the stored sign-in was removed or replaced; saving it again", "op", "save", "env", s.name)
	}
	for _, v := range s.values()[1:] {
		if v.data != nil {
			v.setLocked(v.data, false)
		}
	}
}
