package agent

import "time"

// graceMax is the longest grace period of Cognito: for that long after a refresh that replaced
// the refresh token, the old one is still accepted.
const graceMax = time.Minute

// Markers note which environments have a refresh in progress that may replace the refresh
// token. If the agent is killed meanwhile, the next one learns from the note that it has to
// refresh at once: the stored refresh token may be good for a few seconds only. A note has no
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
// scheduler refreshes without demand.
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
		s.agent.log.Info("the agent ended during a refresh; refreshing at once", "op", "start", "env", s.name)
	}
}

// unaskedDue reports whether a refresh is due although no cached token is in demand, and the
// pause before it: the answer to the last refresh was lost, and for a while the provider
// answers the same refresh token again; or the agent's own sign-in failed.
func (s *session) unaskedDue(now time.Time) (pause time.Duration, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unusable := s.rejected != nil || s.loaded && s.signIn == nil
	switch {
	case now.Before(s.rescueUntil) && !unusable:
	case s.unattendedDueLocked(now):
		pause = s.unattended.remaining(now)
	default:
		return 0, false
	}
	return max(pause, s.token.backoff.remaining(now, true), min(s.nextUnasked.Sub(now), backoffMin)), true
}
