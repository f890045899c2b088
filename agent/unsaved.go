package agent

import (
	"context"
)

// Unsaved returns, by key, what the store is to have and does not: after Close, for the next
// image of the process. nil is a key that is to be deleted.
func (a *Agent) Unsaved() map[string][]byte {
	a.configureMu.Lock()
	defer a.configureMu.Unlock()
	all := map[string][]byte{}
	for _, s := range a.sessions {
		s.mu.Lock()
		for _, v := range s.values() {
			if v.pendingLocked() {
				all[v.key] = v.data
			}
		}
		s.mu.Unlock()
	}
	return all
}

// values returns all that the store keeps of the session. The record comes first.
func (s *session) values() []*storedValue {
	return []*storedValue{&s.record, &s.first, &s.replacedRecord, &s.refusedStamp, &s.untilMark}
}

// adopt takes what an earlier image of the process could not save, and saves it.
func (a *Agent) adopt(ctx context.Context, unsaved map[string][]byte) {
	known := map[string]bool{}
	for _, s := range a.view.Load().byName {
		for _, v := range s.values() {
			if data, ok := unsaved[v.key]; ok {
				known[v.key] = true
				s.adoptUnsaved(v, data)
			}
		}
	}
	for key, data := range unsaved {
		if known[key] || data == nil {
			continue
		}
		if err := a.store.Put(ctx, key, data); err != nil {
			a.log.Error("a sign-in of an environment that is not configured any more could not be saved", "op", "save", "env", key, "error", err)
		}
	}
}

func (s *session) adoptUnsaved(v *storedValue, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signIn, err := decodeRecord(data)
	if v != &s.record || data == nil || err != nil {
		v.setLocked(data, false)
		return
	}
	s.saveLocked(signIn, true, false)
	if s.agent.fleet != nil { // the fleet does not have it either
		s.shared.restored, s.shared.pending = true, true
		s.shared.record.Revision = signIn.parent.Revision
	}
}
