package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// unattendedInterval is the least time between two sign-ins the agent makes by itself.
// Cognito locks an account after five wrong passwords in a row, for up to 15 minutes.
const unattendedInterval = 5 * time.Minute

// opCredential marks the failure to read a credential: no call was made, so nothing
// need be waited for when it is mended.
const opCredential = "credential"

// An unattendedState is the state of a session's unattended sign-in.
type unattendedState struct {
	off          bool      // signed out by a person: off until a sign-in, a reload or a restart
	lastTry      time.Time // when it last called, wall clock
	refusedStamp string    // the Stamp of the credential that was refused for good
	err          *Error    // what came of the last call; nil after a success
}

// unattendedRefusalLocked says why no token is to be had without a person, or nil when the
// unattended sign-in may be tried. The caller holds mu and knows that there is no
// sign-in of use.
func (s *session) unattendedRefusalLocked() *Error {
	without := s.rejected
	if without == nil {
		without = s.notSignedIn("token")
	}
	if s.env.Unattended == nil || s.unattended.off {
		return without
	}
	if pause := s.unattendedPauseLocked(); pause > 0 && s.unattended.err != nil {
		e := *s.unattended.err
		if e.Code == CodeUnavailable || e.Code == CodeThrottled {
			e.RetryAfter = pause
		}
		return &e
	}
	return nil
}

// unattendedPauseLocked is how long until the next call may be made. The caller holds mu.
func (s *session) unattendedPauseLocked() time.Duration {
	if s.unattended.lastTry.IsZero() {
		return 0
	}
	if d := s.unattended.lastTry.Add(unattendedInterval).Sub(s.agent.now()); d <= unattendedInterval { // else the clock was set back
		return max(d, 0)
	}
	return 0
}

// tryUnattended signs in with the environment's credential, where it has one and why
// may be mended by that. A refusal for good is not repeated before the credential
// changes. The caller has the turn.
func (s *session) tryUnattended(ctx context.Context, why *Error) *Error {
	s.mu.Lock()
	env, epoch, alone := s.env, s.epoch, s.unattended
	pause := s.unattendedPauseLocked()
	s.mu.Unlock()
	switch {
	case env.Unattended == nil || alone.off:
		return why
	case pause > 0 && alone.err != nil:
		return alone.err
	case pause > 0:
		e := s.errorf("login", CodeUnavailable, "the unattended sign-in is made at most every %s", unattendedInterval)
		e.RetryAfter = pause
		return e
	}
	c, err := env.Unattended.Credential()
	if err != nil {
		e := s.wrap("login", err)
		e.Op = opCredential
		return e
	}
	if stamp := s.loadRefusedStamp(ctx); stamp != "" && stamp == c.Stamp {
		return s.refusedBeforeError()
	}
	return s.signInUnattended(ctx, env, epoch, c)
}

// refusedSuffix makes the key under which the Stamp of a refused credential is kept,
// so that a daemon that is started again and again does not lock the account.
const refusedSuffix = "--refused"

// loadRefusedStamp is the Stamp of the credential that was refused, by this daemon or by
// one before.
func (s *session) loadRefusedStamp(ctx context.Context) string {
	s.mu.Lock()
	stamp := s.unattended.refusedStamp
	s.mu.Unlock()
	if stamp != "" || !store.ValidKey(s.name+refusedSuffix) {
		return stamp
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	kept, err := s.agent.store.Get(ctx, s.name+refusedSuffix)
	if err != nil {
		return ""
	}
	return string(kept)
}

// saveRefusedStamp stores stamp, where the store can; "" deletes it.
func (s *session) saveRefusedStamp(stamp string) {
	if !store.ValidKey(s.name + refusedSuffix) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := error(nil)
	if stamp == "" {
		err = s.agent.store.Delete(ctx, s.name+refusedSuffix)
	} else {
		err = s.agent.store.Put(ctx, s.name+refusedSuffix, []byte(stamp))
	}
	if err != nil {
		s.agent.log.Debug("whether the credential was refused is not kept", "op", "save", "env", s.name, "error", err)
	}
}

// refusedBeforeError is the refusal itself, or what a daemon knows of one before it.
func (s *session) refusedBeforeError() *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unattended.err == nil {
		e := s.errorf("login", CodeLoginRequired, "unattended sign-in: Cognito has refused this credential before")
		e.Hint = s.fixHint()
		s.unattended.err = e
	}
	return s.unattended.err
}

func (s *session) fixHint() string {
	return "mend the credential (it is tried again when its file changes, at most every 5 minutes), or " + s.loginHint()
}

func (s *session) signInUnattended(ctx context.Context, env Environment, epoch int, c Credential) *Error {
	s.mu.Lock()
	s.unattended = unattendedState{lastTry: s.agent.now()}
	req := LoginRequest{Environment: s.name, Username: c.Username, Password: c.Password}
	if s.signIn != nil {
		req.Device = s.signIn.issued.Device
	}
	s.mu.Unlock()
	res, err := s.agent.auth.Login(ctx, env, req, s.refuseChallenge)
	if err != nil {
		return s.unattendedFailed(s.wrap("login", err), c)
	}
	tried := s.agent.now()
	s.adopt(ctx, s.newLoginResult(env, epoch, res))
	s.saveRefusedStamp("")
	s.mu.Lock()
	s.unattended.lastTry = tried // install forgot it
	s.mu.Unlock()
	s.agent.log.Info("signed in unattended", "op", "login", "env", s.name)
	return nil
}

// unattendedFailed remembers a failed call. One that may pass is tried again after the
// pause; every other waits for another credential.
func (s *session) unattendedFailed(e *Error, c Credential) *Error {
	e.Message = "unattended sign-in: " + e.Message
	s.agent.log.Warn("not signed in", "op", "login", "env", s.name, "code", string(e.Code), "error", e.Error(), "cause", causeOf(e))
	passes := e.Code == CodeUnavailable || e.Code == CodeThrottled
	if !passes {
		e.Code, e.Hint = CodeLoginRequired, s.fixHint()
		s.saveRefusedStamp(c.Stamp)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unattended.err = e
	if !passes {
		s.unattended.refusedStamp = c.Stamp
	}
	return e
}

// refuseChallenge answers the challenges of an unattended sign-in.
func (s *session) refuseChallenge(_ context.Context, c Challenge) (Answers, error) {
	return nil, s.errorf("login", CodeLoginRequired, "Cognito asks for %s, and nobody is there to answer", c.Name)
}
