package agent

import "time"

// graceMax is the longest grace period of Cognito: for that long after a refresh that replaced
// the refresh token, the old one is still accepted.
const graceMax = time.Minute

// Cognito goes on with a call whose client was killed. If the next agent sent the same refresh
// token before that call is processed, the call would come second, and end the branch of the
// token that the agent got. So the first refresh after a kill waits until the call is over. A
// request has to be answered within 7 s and waits for less of it; nobody waits for a refresh
// without demand, for which 55 s of the grace period are left.
const (
	settleAsked   = 3 * time.Second
	settleUnasked = 5 * time.Second
)

// Markers note which environments have a refresh in progress that may replace the refresh
// token. If the agent is killed meanwhile, the next one learns from the note that it has to
// refresh soon: the stored refresh token may be good for a few seconds only. A note has no
// secret in it. Notes are best effort, and no method delays the caller by more than 200 ms.
type Markers interface {
	// Begin notes, in the background, that a refresh of the environment began now.
	Begin(environment string)
	// End removes the note in the background.
	End(environment string)
	// Begun returns when the refresh began whose note is there.
	Begun(environment string) (began time.Time, ok bool)
	// Flush waits until the notes are as the calls before it said.
	Flush()
}

// noMarkers are the Markers of an agent that was given none.
type noMarkers struct{}

func (noMarkers) Begin(string)                       {}
func (noMarkers) End(string)                         {}
func (noMarkers) Begun(string) (_ time.Time, _ bool) { return }
func (noMarkers) Flush()                             {}

// resume reads the marker that an earlier agent left. While it is younger than graceMax, the
// scheduler refreshes without demand, as soon as the call of the earlier agent is over.
func (s *session) resume() {
	began, ok := s.agent.markers.Begun(s.name)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unanswered, s.cutOff = began, began
	if age := s.agent.now().Sub(began); age < graceMax && age > -graceMax {
		s.rescueUntil = s.agent.now().Add(graceMax - max(age, 0))
		s.nextUnasked = began.Add(settleUnasked)
		s.agent.log.Info("the agent ended during a refresh; refreshing without a request", "op", "start", "env", s.name)
	}
}

// settle waits until the call of an agent that was killed is over. A clock that was set back
// makes it wait no longer than settleAsked.
func (s *session) settle() {
	s.mu.Lock()
	wait := time.Duration(0)
	if !s.cutOff.IsZero() {
		wait = min(s.cutOff.Add(settleAsked).Sub(s.agent.now()), settleAsked)
	}
	s.mu.Unlock()
	if wait <= 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-s.agent.ctx.Done():
	}
}

// rescueLast starts the refresh that is due after a kill, for Close: the next agent may come
// too late for it.
func (s *session) rescueLast() {
	s.mu.Lock()
	due := !s.cutOff.IsZero() && s.agent.now().Before(s.rescueUntil) && !s.unusableLocked()
	s.mu.Unlock()
	if due {
		_, _ = s.token.startOrJoin(s.token.current.Load(), true)
	}
}

// unusableLocked reports whether there is no sign-in that works. The caller holds mu.
func (s *session) unusableLocked() bool { return s.rejected != nil || s.loaded && s.signIn == nil }

// unaskedDue reports whether a refresh is due although no cached token is in demand, and the
// pause before it: the answer to the last refresh was lost, and for a while the provider
// answers the same refresh token again; or the agent's own sign-in failed.
func (s *session) unaskedDue(now time.Time) (pause time.Duration, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case now.Before(s.rescueUntil) && !s.unusableLocked():
	case s.unattendedDueLocked(now):
		pause = s.unattended.remaining(now)
	default:
		return 0, false
	}
	return max(pause, s.token.backoff.remaining(now, true), min(s.nextUnasked.Sub(now), backoffMin)), true
}
