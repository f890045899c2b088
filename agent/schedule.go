package agent

import "time"

// tick is the longest that the scheduler sleeps while tokens are in demand. Its timer runs
// on the monotonic clock, which stands still in suspend. Because the scheduler wakes every
// minute, it notices a suspend soon after it ends.
const tick = time.Minute

// schedule refreshes credentials in demand ahead of their end, saves what is unsaved, and revokes
// what was replaced.
// It blocks until woken when there is nothing to do.
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

// startDue starts what is due, and returns how long until the next thing is; 0 means that
// there is none.
func (a *Agent) startDue() time.Duration {
	var next time.Duration
	for _, s := range a.view.Load().byName {
		for _, d := range []time.Duration{s.saveIfDue(), s.pushIfDue(), s.revokeIfDue(), s.endIfDue(), s.token.refreshIfDue(), s.aws.refreshIfDue()} {
			if d > 0 && (next == 0 || d < next) {
				next = d
			}
		}
	}
	return next
}
