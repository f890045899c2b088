package agent

import "time"

// tick is the longest the scheduler sleeps while tokens are in demand. Its timer
// runs on the monotonic clock, which stands still in suspend; looking every minute
// finds out soon after waking.
const tick = time.Minute

// schedule refreshes tokens in demand ahead of their end, and saves what is
// unsaved. It sleeps for good while there is neither.
func (a *Agent) schedule() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-a.wake:
		case <-timer.C:
		}
		if a.isClosing() {
			return
		}
		timer.Stop()
		if next := a.startDue(); next > 0 {
			timer.Reset(min(next, tick))
		}
	}
}

// startDue starts what is due and says how long until it wants to look again; 0 is never.
func (a *Agent) startDue() time.Duration {
	var next time.Duration
	for _, s := range a.view.Load().byName {
		for _, d := range []time.Duration{s.saveIfDue(), s.token.refreshIfDue(), s.aws.refreshIfDue()} {
			if d > 0 && (next == 0 || d < next) {
				next = d
			}
		}
	}
	return next
}

func (s *session) saveIfDue() time.Duration {
	s.mu.Lock()
	unsaved, pause := s.unsaved, s.saveBackoff.remaining(s.agent.now(), false)
	busy := s.token.inFlight != nil
	s.mu.Unlock()
	switch {
	case !unsaved || busy: // a flight saves by itself, and wakes us when it ends
		return 0
	case pause > 0:
		return pause
	}
	s.agent.goTracked(s.saveAgain)
	return backoffMin
}
