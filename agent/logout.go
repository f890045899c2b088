package agent

import (
	"cmp"
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// revokeTimeout limits a logout's call to the provider, which is best effort.
const revokeTimeout = 5 * time.Second

// Logout deletes the sign-in of an environment and revokes it at the provider, as far as
// the scope says. If the provider cannot be reached, that is only logged; with
// LogoutAllDevices it is an error, after the sign-in was deleted here. A store that cannot
// delete is an error, because the record would come back with the next start. Logout goes
// on when ctx ends, so that it is never half done.
func (a *Agent) Logout(ctx context.Context, req LogoutRequest) error {
	s, err := a.session("logout", req.Environment)
	if err != nil {
		return err
	}
	switch req.Scope {
	case LogoutHere, LogoutLocal, LogoutAllDevices:
	default:
		return s.errorf("logout", CodeUsage, "unknown scope %q; there are: %s, %s", sanitize.Cut(string(req.Scope), maxQuoted), LogoutLocal, LogoutAllDevices)
	}
	done := make(chan error, 1)
	if !a.goTracked(func() { done <- s.logout(req.Scope) }) {
		return s.errorf("logout", CodeUnavailable, "the agent is stopping; try again")
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return s.wrap("logout", ctx.Err())
	}
}

func (s *session) logout(scope LogoutScope) error {
	s.clearCredentials() // no request gets this token from here on
	s.mu.Lock()
	loaded := s.loaded
	s.mu.Unlock()
	var stored *storedSignIn
	if !loaded {
		stored, _ = s.loadSignIn(s.agent.ctx) // if it cannot be read, it cannot be revoked, but it can be deleted
	}
	first := s.loadFirstToken(s.agent.ctx)
	signIn := s.clearSignIn(stored)
	revoked := s.revokeForLogout(signIn, scope)
	if scope != LogoutLocal {
		_ = s.revoke(s.environment(), first)
		s.revokeReplaced()
	}
	if err := s.deleteRecord(); err != nil {
		return err
	}
	s.agent.log.Info("signed out", "op", "logout", "env", s.name, "scope", string(scope))
	return revoked
}

// clearSignIn removes the sign-in from memory and returns it, or stored if memory has not
// loaded it, so that it can be revoked. A refresh in progress is overtaken.
func (s *session) clearSignIn(stored *storedSignIn) *storedSignIn {
	s.mu.Lock()
	defer s.unlockAndNotify(s.token.current.Load())
	signIn := stored
	if s.loaded {
		signIn = s.signIn
	}
	s.lineage++
	s.signIn, s.loaded, s.signingOut, s.listedState = nil, true, true, StateAbsent
	s.checkedAt = s.agent.now()
	s.clearFailuresLocked()
	s.unattended = unattendedState{off: true}
	s.skew = 0
	s.token.current.Store(nil)
	s.clearAWSLocked()
	s.token.stopLocked()
	return signIn
}

// deleteRecord deletes everything that the store holds of the session. If the store does not
// do that in time, it goes on trying.
func (s *session) deleteRecord() error {
	s.mu.Lock()
	s.signingOut = false
	if s.signIn != nil { // a login came first
		s.mu.Unlock()
		return nil
	}
	version := s.record.setLocked(nil, true)
	others := s.values()[1:]
	s.mu.Unlock()
	limit := s.agent.storeLimit()
	err := s.record.wait(version, limit)
	for _, v := range others {
		s.mu.Lock()
		version := v.setLocked(nil, false)
		s.mu.Unlock()
		if err == nil {
			err = v.wait(version, min(limit, storeTimeout))
		}
	}
	s.agent.markers.End(s.name)
	err = cmp.Or(s.shareLogout(limit), err)
	if err != nil {
		e := s.storeError("logout", err)
		e.Message = "signed out, but the sign-in is still in the store: " + e.Message
		e.Hint = "fix that, then run again: kyc-agentd logout " + s.name
		return e
	}
	return nil
}

// revokeForLogout revokes signIn at the provider as far as scope says. A failure is an error
// with LogoutAllDevices only.
func (s *session) revokeForLogout(signIn *storedSignIn, scope LogoutScope) error {
	env := s.environment()
	switch {
	case signIn == nil || scope == LogoutLocal || !signIn.apiKey.IsZero():
		return nil
	case scope != LogoutAllDevices:
		_ = s.revoke(env, signIn)
		return nil
	case !signIn.belongsTo(env):
		e := s.errorf("logout", CodeLoginRequired, "%s", signIn.mismatch(env))
		e.Hint = "configure environment " + s.name + " as it was and run: kyc-agentd reload, kyc-agentd login " + s.name + " and this again"
		return s.notElsewhere(e)
	}
	ctx, cancel := context.WithTimeout(s.agent.ctx, revokeTimeout)
	defer cancel()
	latest := signIn.issued
	err := s.agent.auth.RevokeAll(ctx, env, latest, func(rotated SignIn) { latest = rotated })
	if err == nil {
		return nil
	}
	rest := *signIn
	rest.issued = latest
	_ = s.revoke(env, &rest) // at least this one
	return s.notElsewhere(s.wrap("logout", err))
}

// notElsewhere returns e as the reason why the other devices are still signed in.
func (s *session) notElsewhere(e *Error) *Error {
	s.agent.log.Warn("signed out here, but not elsewhere", "op", "logout", "env", s.name, "code", string(e.Code), "error", e.Error())
	e.Message = "signed out here, but not elsewhere: " + e.Message
	return e
}
