package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// unattendedInterval is the least time between two sign-ins that the agent makes by itself.
// Cognito locks an account after five wrong passwords in a row, for up to 15 minutes.
const unattendedInterval = 5 * time.Minute

// opCredential marks the failure to read a credential. It made no call, so the next attempt
// need not wait once the credential is fixed.
const opCredential = "credential"

// An unattendedState is the state of a session's unattended sign-in.
type unattendedState struct {
	off          bool      // a person signed out: off until a sign-in, a reload or a restart
	lastTry      time.Time // when it last called the provider, wall clock
	refusedStamp string    // the Stamp of the credential that was refused permanently
	err          *Error    // how the last call failed; nil if it succeeded
}

// unattendedRefusalLocked returns why a token needs a person, or nil if the unattended
// sign-in may be tried. The caller holds mu and knows that there is no usable sign-in.
func (s *session) unattendedRefusalLocked() *Error {
	refusal := s.rejected
	if refusal == nil {
		refusal = s.notSignedIn("token")
	}
	if s.env.Unattended == nil || s.unattended.off {
		return refusal
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

// unattendedPauseLocked returns how long until the next call may be made. The caller holds
// mu.
func (s *session) unattendedPauseLocked() time.Duration {
	if s.unattended.lastTry.IsZero() {
		return 0
	}
	if d := s.unattended.lastTry.Add(unattendedInterval).Sub(s.agent.now()); d <= unattendedInterval { // otherwise the clock was set back
		return max(d, 0)
	}
	return 0
}

// tryUnattended signs in with the environment's credential, because of cause: there is no
// sign-in, or it was refused. If the environment has no credential, the result is cause. A
// credential that was refused permanently is not tried again before it changes. The caller
// holds the write lock.
func (s *session) tryUnattended(ctx context.Context, cause *Error) *Error {
	s.mu.Lock()
	env, epoch, state := s.env, s.epoch, s.unattended
	pause := s.unattendedPauseLocked()
	s.mu.Unlock()
	switch {
	case env.Unattended == nil || state.off:
		return cause
	case pause > 0 && state.err != nil:
		return state.err
	case pause > 0:
		e := s.errorf("login", CodeUnavailable, "the agent signs in by itself at most every %s", unattendedInterval)
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

// refusedSuffix makes the key under which the Stamp of a refused credential is stored, so
// that a daemon that is started again and again does not lock the account.
const refusedSuffix = "--refused"

// loadRefusedStamp returns the Stamp of the credential that was refused, in this run of the
// daemon or in an earlier one.
func (s *session) loadRefusedStamp(ctx context.Context) string {
	s.mu.Lock()
	stamp := s.unattended.refusedStamp
	s.mu.Unlock()
	if stamp != "" || !store.ValidKey(s.name+refusedSuffix) {
		return stamp
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	stored, err := s.agent.store.Get(ctx, s.name+refusedSuffix)
	if err != nil {
		return ""
	}
	return string(stored)
}

// saveRefusedStamp stores stamp; "" deletes it. A failure is only logged.
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
		s.agent.log.Debug("cannot store whether the credential was refused", "op", "save", "env", s.name, "error", err)
	}
}

// refusedBeforeError returns the refusal itself, or what is known of one in an earlier run
// of the daemon.
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
	return "fix the credential (it is tried again when its file changes, at most every 5 minutes), or " + s.loginHint()
}

// signInUnattended makes the call. The caller holds the write lock.
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
	lastTry := s.agent.now()
	s.adopt(ctx, s.newLoginResult(env, epoch, res))
	s.saveRefusedStamp("")
	s.mu.Lock()
	s.unattended.lastTry = lastTry // adopt cleared it
	s.mu.Unlock()
	s.agent.log.Info("signed in unattended", "op", "login", "env", s.name)
	return nil
}

// unattendedFailed remembers a failed call. A temporary failure is retried after the pause;
// after any other the agent waits for another credential.
func (s *session) unattendedFailed(e *Error, c Credential) *Error {
	e.Message = "unattended sign-in: " + e.Message
	s.agent.log.Warn("not signed in", "op", "login", "env", s.name, "code", string(e.Code), "error", e.Error(), "cause", causeOf(e))
	temporary := e.Code == CodeUnavailable || e.Code == CodeThrottled
	if !temporary {
		e.Code, e.Hint = CodeLoginRequired, s.fixHint()
		s.saveRefusedStamp(c.Stamp)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unattended.err = e
	if !temporary {
		s.unattended.refusedStamp = c.Stamp
	}
	return e
}

// refuseChallenge is the Prompter of an unattended sign-in.
func (s *session) refuseChallenge(_ context.Context, c Challenge) (Answers, error) {
	return nil, s.errorf("login", CodeLoginRequired, "Cognito asks for %s, and nobody is there to answer", c.Name)
}
