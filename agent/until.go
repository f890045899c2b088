// A sign-in for a limited time: `login --for 8h`.

package agent

import (
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/internal/bootclock"
)

// untilSuffix makes the key whose presence says that the sign-in has a limit of its own, so that
// the next agent looks at it without a request. The limit is in the record; an agent of an older
// version leaves it out when it refreshes, and then it is in the value of this key.
const untilSuffix = "--until"

// limit makes signIn, a new one, end after d, if d is above 0.
func (signIn *storedSignIn) limit(d time.Duration) {
	if d > 0 {
		signIn.until = signIn.issued.SignedInAt.Add(d).UTC().Truncate(time.Second)
	}
}

// setUntilLocked notes the limit of a new sign-in in the store, and returns the version to wait
// for. The caller holds mu.
func (s *session) setUntilLocked(signIn *storedSignIn) (version int) {
	switch {
	case !signIn.until.IsZero():
		s.limited = true
		return s.untilMark.setLocked(signIn.untilMark(), false)
	case s.limited:
		s.limited = false
		return s.untilMark.setLocked(nil, false)
	}
	return 0
}

// untilMark is the value of the key: the limit, and when the sign-in began that has it. An agent
// may be killed when it has stored the next sign-in and not yet deleted this key.
func (signIn *storedSignIn) untilMark() []byte {
	return []byte(signIn.until.UTC().Format(time.RFC3339) + " " + signIn.issued.SignedInAt.UTC().Format(time.RFC3339Nano))
}

// waitUntilSaved waits until the store has the limit: a login that has told its end is ended then,
// although the agent is killed.
func (s *session) waitUntilSaved(version int, limit time.Duration) {
	if err := s.untilMark.wait(version, limit); err != nil {
		s.agent.log.Warn("the store does not have the end of the sign-in; an agent that is killed looks at it with the next request", "op", "login", "env", s.name, "error", err)
	}
}

// resumeUntil reads a sign-in that has a limit, so that the scheduler knows of it.
func (s *session) resumeUntil() {
	s.mu.Lock()
	s.limited = true
	s.mu.Unlock()
	data, err := s.agent.read(s.agent.ctx, s.untilMark.key)
	if err != nil {
		return // the first request reads the record
	}
	text, _, _ := strings.Cut(string(data), " ")
	until, err := time.Parse(time.RFC3339, text)
	if err != nil || s.ensureLoaded(s.agent.ctx) != nil {
		return
	}
	s.mu.Lock()
	if s.signIn != nil && s.signIn.until.IsZero() {
		limited := *s.signIn
		if limited.until = until; string(limited.untilMark()) == string(data) {
			s.saveLocked(&limited, false, false)
		} else {
			s.setUntilLocked(s.signIn) // of an earlier sign-in
		}
	}
	s.mu.Unlock()
	s.agent.wakeScheduler()
}

// A countdown is what is left until a limit, by a clock that cannot be set.
type countdown struct {
	until time.Time
	from  bootclock.Mark
	left  time.Duration // at from
}

// overLocked reports whether the limit of the sign-in has passed. The caller holds mu.
func (s *session) overLocked() bool {
	return s.signIn != nil && !s.signIn.until.IsZero() && s.leftLocked() <= 0
}

// leftLocked returns how long the sign-in, which has a limit, may still be used. A clock that is
// set back makes that no longer while the agent runs. The caller holds mu.
func (s *session) leftLocked() time.Duration {
	until, now := s.signIn.until, bootclock.Now()
	left := until.Sub(s.agent.now())
	if s.limit.until != until {
		s.limit = countdown{until, now, left}
	}
	return min(left, s.limit.left-now.Since(s.limit.from))
}

// endIfDue revokes and forgets a sign-in whose time is over, and returns how long until that is
// due; 0 means that it has no limit.
func (s *session) endIfDue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.signIn == nil || s.signIn.until.IsZero() || s.signingOut:
		return 0
	case !s.overLocked():
		return max(s.leftLocked(), time.Millisecond)
	}
	s.agent.goTracked(func() {
		s.mu.Lock()
		over := s.overLocked() // a login may have come first
		s.mu.Unlock()
		if !over {
			return
		}
		s.agent.log.Info("the time of the sign-in is over", "op", "logout", "env", s.name)
		if err := s.logout(LogoutHere); err != nil {
			s.agent.log.Error("the sign-in whose time is over could not be forgotten", "op", "logout", "env", s.name, "error", err)
		}
	})
	return backoffMin
}
