package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// alonePause is the least time between two sign-ins the agent makes by itself.
// Cognito locks an account after five wrong passwords in a row, for up to 15 minutes.
const alonePause = 5 * time.Minute

// opCredential marks the failure to read a credential: no call was made, so nothing
// need be waited for when it is mended.
const opCredential = "credential"

// A lone is the state of a session's unattended sign-in.
type lone struct {
	off     bool      // signed out by a person: off until a sign-in, a reload or a restart
	tried   time.Time // when it last called, wall clock
	refused string    // the Stamp of the credential that was refused for good
	err     *Error    // what came of the last call; nil after a success
}

// loneRefusalLocked says why no token is to be had without a person, or nil when the
// unattended sign-in may be tried. The caller holds mu and knows that there is no
// sign-in of use.
func (s *session) loneRefusalLocked() *Error {
	without := s.rejected
	if without == nil {
		without = s.notSignedIn("token")
	}
	if s.env.Unattended == nil || s.alone.off {
		return without
	}
	if pause := s.alonePauseLocked(); pause > 0 && s.alone.err != nil {
		e := *s.alone.err
		if e.Code == CodeUnavailable || e.Code == CodeThrottled {
			e.RetryAfter = pause
		}
		return &e
	}
	return nil
}

// alonePauseLocked is how long until the next call may be made. The caller holds mu.
func (s *session) alonePauseLocked() time.Duration {
	if s.alone.tried.IsZero() {
		return 0
	}
	if d := s.alone.tried.Add(alonePause).Sub(s.a.now()); d <= alonePause { // else the clock was set back
		return max(d, 0)
	}
	return 0
}

// signInAlone signs in with the environment's credential, where it has one and why
// may be mended by that. A refusal for good is not repeated before the credential
// changes. The caller has the turn.
func (s *session) signInAlone(ctx context.Context, why *Error) *Error {
	s.mu.Lock()
	env, epoch, alone := s.env, s.epoch, s.alone
	pause := s.alonePauseLocked()
	s.mu.Unlock()
	switch {
	case env.Unattended == nil || alone.off:
		return why
	case pause > 0 && alone.err != nil:
		return alone.err
	case pause > 0:
		return s.pauseError(pause)
	}
	c, err := env.Unattended.Credential()
	if err != nil {
		e := s.wrap("login", err)
		e.Op = opCredential
		return e
	}
	if stamp := s.refusedStamp(ctx); stamp != "" && stamp == c.Stamp {
		return s.stillRefused()
	}
	return s.callAlone(ctx, env, epoch, c)
}

// refusedSuffix makes the key under which the Stamp of a refused credential is kept,
// so that a daemon that is started again and again does not lock the account.
const refusedSuffix = "--refused"

// refusedStamp is the Stamp of the credential that was refused, by this daemon or by
// one before.
func (s *session) refusedStamp(ctx context.Context) string {
	s.mu.Lock()
	stamp := s.alone.refused
	s.mu.Unlock()
	if stamp != "" || !store.ValidKey(s.name+refusedSuffix) {
		return stamp
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	kept, err := s.a.store.Get(ctx, s.name+refusedSuffix)
	if err != nil {
		return ""
	}
	return string(kept)
}

// keepRefused stores stamp, where the store can; "" deletes it.
func (s *session) keepRefused(stamp string) {
	if !store.ValidKey(s.name + refusedSuffix) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := error(nil)
	if stamp == "" {
		err = s.a.store.Delete(ctx, s.name+refusedSuffix)
	} else {
		err = s.a.store.Put(ctx, s.name+refusedSuffix, []byte(stamp))
	}
	if err != nil {
		s.a.log.Debug("whether the credential was refused is not kept", "op", "save", "env", s.name, "error", err)
	}
}

// stillRefused is the refusal itself, or what a daemon knows of one before it.
func (s *session) stillRefused() *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alone.err == nil {
		e := s.errorf("login", CodeLoginRequired, "unattended sign-in: Cognito has refused this credential before")
		e.Hint = s.mendHint()
		s.alone.err = e
	}
	return s.alone.err
}

func (s *session) mendHint() string {
	return "mend the credential (it is tried again when its file changes, at most every 5 minutes), or " + s.loginHint()
}

func (s *session) pauseError(pause time.Duration) *Error {
	e := s.errorf("login", CodeUnavailable, "the unattended sign-in is made at most every %s", alonePause)
	e.RetryAfter = pause
	return e
}

func (s *session) callAlone(ctx context.Context, env Environment, epoch int, c Credential) *Error {
	s.mu.Lock()
	s.alone = lone{tried: s.a.now()}
	req := LoginRequest{Environment: s.name, Username: c.Username, Password: c.Password}
	if s.kept != nil {
		req.Device = s.kept.Device
	}
	s.mu.Unlock()
	g, err := s.a.auth.Login(ctx, env, req, s.nobody)
	if err != nil {
		return s.refusedAlone(s.wrap("login", err), c)
	}
	tried := s.a.now()
	k, h := s.granted(env, g)
	s.install(ctx, k, h, g.Skew, epoch)
	s.keepRefused("")
	s.mu.Lock()
	s.alone.tried = tried // install forgot it
	s.mu.Unlock()
	s.a.log.Info("signed in unattended", "op", "login", "env", s.name)
	return nil
}

// refusedAlone remembers a failed call. One that may pass is tried again after the
// pause; every other waits for another credential.
func (s *session) refusedAlone(e *Error, c Credential) *Error {
	e.Message = "unattended sign-in: " + e.Message
	s.a.log.Warn("not signed in", "op", "login", "env", s.name, "code", string(e.Code), "error", e.Error(), "cause", causeOf(e))
	passes := e.Code == CodeUnavailable || e.Code == CodeThrottled
	if !passes {
		e.Code, e.Hint = CodeLoginRequired, s.mendHint()
		s.keepRefused(c.Stamp)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alone.err = e
	if !passes {
		s.alone.refused = c.Stamp
	}
	return e
}

// nobody answers the challenges of an unattended sign-in.
func (s *session) nobody(_ context.Context, c Challenge) (Answers, error) {
	return nil, s.errorf("login", CodeLoginRequired, "Cognito asks for %s, and nobody is there to answer", c.Name)
}
