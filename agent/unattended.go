package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// unattendedInterval is the least time between two sign-ins that the agent makes by itself,
// unless the first failed for a reason other than the credential. Cognito locks an account
// after five wrong passwords in a row, for up to 15 minutes.
const unattendedInterval = 5 * time.Minute

// opCredential marks the failure to read a credential. It made no call, so the next attempt
// need not wait once the credential is fixed. opUnattended marks the failure of an unattended
// sign-in, which has pauses between its attempts.
const (
	opCredential = "credential"
	opUnattended = "login"
)

// unattendedPauses are the pauses after failures in a row that are not about the credential.
// Those that may pass by themselves stop growing at unattendedInterval.
var unattendedPauses = []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, unattendedInterval, 15 * time.Minute, time.Hour}

// unattendedDemand is how long after the last request the agent goes on by itself to try a
// sign-in that failed.
const unattendedDemand = time.Hour

// An unattendedState is the state of a session's unattended sign-in.
type unattendedState struct {
	off          bool          // a person signed out: off until a sign-in, a reload or a restart
	lastTry      time.Time     // when it last called the provider, wall clock
	pause        time.Duration // the least time from lastTry to the next call
	failures     int           // calls that failed in a row, for other reasons than the credential
	refusedStamp string        // of the credential that was refused, as it is stored
	err          *Error        // how the last call failed; nil if it succeeded
}

// configured forgets what a new configuration may have changed: everything but the refusal of
// the credential.
func (u *unattendedState) configured() {
	u.off = false
	if u.refusedStamp == "" {
		u.err, u.failures, u.pause = nil, 0, 0
	}
}

// retries reports whether the last call failed, and there will be another one.
func (u *unattendedState) retries() bool { return u.err != nil && u.refusedStamp == "" && !u.off }

// remaining returns how long until the next call may be made. A clock that was set back makes
// the pause no longer than it is.
func (u *unattendedState) remaining(now time.Time) time.Duration {
	if d := u.lastTry.Add(u.pause).Sub(now); !u.lastTry.IsZero() && d <= u.pause {
		return max(d, 0)
	}
	return 0
}

// waiting returns the last failure as the answer to a request that comes pause before the next
// call.
func (u *unattendedState) waiting(pause time.Duration) *Error {
	e := *u.err
	e.repeated = true
	if u.refusedStamp != "" {
		return &e
	}
	next := "the agent tries again by itself in " + max(pause, time.Second).Round(time.Second).String()
	if temporary(&e) {
		e.Hint, e.RetryAfter = next, max(pause, time.Second)
	} else {
		e.Hint = strings.TrimPrefix(e.Hint+"; "+next, "; ")
	}
	return &e
}

// temporary reports whether e may pass by itself.
func temporary(e *Error) bool { return e.Code == CodeUnavailable || e.Code == CodeThrottled }

// unattendedRefusalLocked returns why a token needs a person, or nil if the unattended
// sign-in may be tried. The caller holds mu and knows that there is no usable sign-in.
func (s *session) unattendedRefusalLocked() *Error {
	refusal := s.rejected
	if refusal == nil {
		refusal = s.notSignedIn("token")
	}
	u := &s.unattended
	if s.env.Unattended == nil || u.off {
		return refusal
	}
	if pause := u.remaining(s.agent.now()); pause > 0 && u.err != nil {
		return u.waiting(pause)
	}
	return nil
}

// unattendedDueLocked reports whether the scheduler tries the sign-in again, after its pause.
// The caller holds mu.
func (s *session) unattendedDueLocked(now time.Time) bool {
	u, used := &s.unattended, time.Unix(0, s.token.lastUsed.Load())
	return s.env.Unattended != nil && u.retries() && now.Sub(used) <= unattendedDemand
}

// tryUnattended signs in with the environment's credential, because of cause: there is no
// sign-in, or it was refused. If the environment has no credential, the result is cause. A
// credential that was refused is not tried again before it changes.
func (s *session) tryUnattended(lineage int, cause *Error) *Error {
	return s.tryUnattendedFor(lineage, cause, false)
}

// tryUnattendedFor is tryUnattended; own is for a sign-in that is not shared with the fleet.
func (s *session) tryUnattendedFor(lineage int, cause *Error, own bool) *Error {
	s.mu.Lock()
	env, epoch, u := s.env, s.epoch, s.unattended
	pause := u.remaining(s.agent.now())
	s.mu.Unlock()
	switch {
	case env.Unattended == nil || u.off:
		return cause
	case pause > 0 && u.err != nil:
		return u.waiting(pause)
	case pause > 0:
		e := s.errorf(opUnattended, CodeUnavailable, "the agent signs in by itself at most every %s", unattendedInterval)
		e.RetryAfter = pause
		return e
	}
	c, err := env.Unattended.Credential()
	if err != nil {
		s.mu.Lock()
		s.unattended.err = nil
		s.mu.Unlock()
		e := s.wrap(opUnattended, err)
		e.Op = opCredential
		return e
	}
	if stamp := refusedStamp(env, c); stamp == s.loadRefusedStamp() {
		return s.refusedBeforeError(stamp)
	}
	return s.signInUnattended(env, epoch, lineage, c, own)
}

// refusedSuffix makes the key under which it is stored which credential was refused, so that a
// daemon that is started again and again does not lock the account.
const refusedSuffix = "--refused"

// refusedStamp returns what is stored when c was refused: c's Stamp, and by whom it was
// refused. The number tells it from what older versions stored, who took other failures for
// a refusal, too.
func refusedStamp(env Environment, c Credential) string {
	return fmt.Sprintf("2:%s/%s:%s", env.UserPoolID, env.ClientID, c.Stamp)
}

// loadRefusedStamp returns which credential was refused, in this run of the daemon or in an
// earlier one, or "".
func (s *session) loadRefusedStamp() string {
	s.mu.Lock()
	stamp := s.unattended.refusedStamp
	s.mu.Unlock()
	if stamp != "" {
		return stamp
	}
	stored, err := s.agent.read(s.agent.ctx, s.refusedStamp.key)
	if err != nil {
		return ""
	}
	return string(stored)
}

// refusedBeforeError returns the refusal itself, or what is known of one in an earlier run
// of the daemon.
func (s *session) refusedBeforeError(stamp string) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &s.unattended
	if u.err == nil || u.refusedStamp == "" {
		e := s.errorf(opUnattended, CodeLoginRequired, "unattended sign-in: Cognito has refused this credential before")
		e.Hint = s.fixHint()
		u.err, u.refusedStamp = e, stamp
		return e
	}
	return u.err.again()
}

func (s *session) fixHint() string {
	return "fix the credential (it is tried again when its file changes, at most every 5 minutes), or " + s.loginHint()
}

// signInUnattended makes the call.
func (s *session) signInUnattended(env Environment, epoch, lineage int, c Credential, own bool) *Error {
	s.mu.Lock()
	s.unattended.lastTry, s.unattended.pause = s.agent.now(), unattendedInterval
	req := LoginRequest{Environment: s.name, Username: c.Username, Password: c.Password, Device: s.deviceLocked(env)}
	s.mu.Unlock()
	asked := ""
	res, err := s.agent.auth.Login(s.agent.ctx, env, req, func(_ context.Context, ch Challenge) (Answers, error) {
		asked = ch.Name
		return nil, s.errorf(opUnattended, CodeLoginRequired, "Cognito asks for %s, and nobody is there to answer", ch.Name)
	})
	if err != nil {
		s.agent.onUnattended(s.name, c.Username, CodeOf(err))
		return s.unattendedFailed(s.wrap(opUnattended, err), refusedStamp(env, c), asked, lineage)
	}
	lastTry := s.agent.now()
	result := s.newLoginResult(env, epoch, LoginRequest{Username: c.Username}, res)
	if own {
		return s.publishOwn(result, lineage)
	}
	if !s.adopt(result, saveTimeout, lineage) {
		s.revokeLate(env, result.signIn)
		return nil
	}
	s.mu.Lock()
	s.unattended.lastTry, s.unattended.pause = lastTry, unattendedInterval // adopt cleared it
	s.refusedStamp.setLocked(nil, false)
	s.mu.Unlock()
	s.agent.onUnattended(s.name, c.Username, "")
	s.agent.log.Info("signed in unattended", "op", "login", "env", s.name)
	return nil
}

// unattendedFailed records a failed call. Only a definite refusal of the credential, or a
// challenge that nobody can answer, is stored; after any other failure the agent tries again.
func (s *session) unattendedFailed(e *Error, stamp, asked string, lineage int) *Error {
	e.Op, e.Message = opUnattended, "unattended sign-in: "+e.Message
	s.agent.log.Warn("not signed in", "op", "login", "env", s.name, "code", string(e.Code), "error", e.Error(), "cause", causeOf(e))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lineage != lineage {
		return e
	}
	u := &s.unattended
	u.err = e
	if asked != "" && !temporary(e) || errors.Is(e, ErrBadCredential) {
		e.Code, e.Hint = CodeLoginRequired, s.fixHint()
		if asked != "" {
			e.Hint = "use an account that signs in with its password alone, or " + s.loginHint()
		}
		u.refusedStamp, u.failures, u.pause = stamp, 0, unattendedInterval
		s.refusedStamp.setLocked([]byte(stamp), false)
		return e
	}
	pauses := unattendedPauses
	if temporary(e) {
		pauses = pauses[:4]
	}
	u.pause = pauses[min(u.failures, len(pauses)-1)]
	u.pause = max(u.pause, min(e.RetryAfter, unattendedInterval))
	u.failures, u.refusedStamp = u.failures+1, ""
	first := u.waiting(u.pause)
	first.repeated = false
	return first
}
