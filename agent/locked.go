package agent

import (
	"context"
	"slices"
	"time"
)

// Lock refuses every request with why from now on, and forgets all tokens. A login in progress is
// cancelled; a refresh that Cognito is answering goes on to its end, because it may have replaced
// the refresh token, and nobody gets what it brings. Close then waits for it.
//
// Nothing unlocks an Agent: the caller makes another one.
func (a *Agent) Lock(why *Error) {
	a.locked.Store(why)
	a.configureMu.Lock()
	defer a.configureMu.Unlock()
	for _, s := range a.sessions {
		s.clearForLock()
	}
}

func (s *session) clearForLock() {
	s.mu.Lock()
	defer s.unlockAndNotify(s.token.current.Load())
	if s.cancelLogin != nil {
		(*s.cancelLogin)(s.agent.locked.Load())
	}
	s.token.current.Store(nil)
	s.clearAWSLocked()
}

// lockedError returns why the agent is locked, or nil.
func (a *Agent) lockedError() *Error {
	if why := a.locked.Load(); why != nil {
		return why.again()
	}
	return nil
}

// listLocked is the Start of an agent that is locked: it reads nothing but the list of the
// store's keys, and starts nothing.
func (a *Agent) listLocked(ctx context.Context) error {
	keys, err := a.store.Keys(ctx)
	if err != nil {
		a.log.Warn("cannot list the stored sign-ins", "op", "start", "error", err)
		return ctx.Err()
	}
	for name, s := range a.view.Load().byName {
		s.setListed(slices.Contains(keys, name))
	}
	return nil
}

// Forgotten says that the sign-in of an environment was removed from the store while the agent
// was locked.
func (a *Agent) Forgotten(environment string) {
	if s, ok := a.view.Load().byName[environment]; ok {
		s.setListed(false)
	}
}

// LockStatus describes the lock. It is the daemon's, as are Sinks.
type LockStatus struct {
	// Passphrase is true if there is one, without which nothing can be locked.
	Passphrase bool      `json:"passphrase"`
	Locked     bool      `json:"locked"`
	Since      time.Time `json:"since,omitzero"`
	// Until is when a passphrase unlocks at the earliest.
	Until time.Time `json:"until,omitzero"`
	// Why is what locked it: "command", "idle", "screen" or "suspend".
	Why string `json:"why,omitempty"`
	// Error is why the store still has what should be wrapped, or why the passphrase cannot be
	// checked.
	Error string `json:"error,omitempty"`
	// Auto is auto_lock of config.toml.
	Auto AutoLock `json:"auto,omitzero"`
}

// AutoLock says when the agent locks by itself.
type AutoLock struct {
	IdleSeconds  int64 `json:"idle_seconds,omitempty"` // without a request on the agent's own socket
	OnScreenLock bool  `json:"on_screen_lock,omitempty"`
	OnSuspend    bool  `json:"on_suspend,omitempty"`
}
