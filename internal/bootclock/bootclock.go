// Package bootclock measures how long something lasts, also over a restart of the process and
// of the machine, whatever is done to the machine's clock meanwhile.
//
// The clock that people read can be set: by hand, by NTP, and by a battery that is empty. Within
// one boot of the machine [Mark.Since] therefore counts by a clock that only goes on, and does so
// while the machine sleeps. A [Seen] goes to the disk beside what ends, and counts over a boot:
//
//	left -= seen.Advance(bootclock.Now()) // the time since the last call, maybe of another process
//
// Across a boot there is nothing but the clock that people read. If that is behind what was seen
// before, nothing is counted until it is right, and then all of it.
package bootclock

import "time"

// A Mark is an instant.
type Mark struct {
	Wall time.Time     `json:"wall"`
	Boot string        `json:"boot,omitempty"` // which boot of the machine; "" where the system does not say
	Up   time.Duration `json:"up,omitempty"`   // since that boot, with the time that the machine slept

	at time.Time // the same instant by the process's own clock; zero for one that was read from a file
}

// Now returns this instant.
func Now() Mark {
	now := time.Now()
	m := Mark{Wall: now.Round(0).UTC(), at: now}
	m.Boot, m.Up = boot()
	return m
}

// SameBoot reports whether the time from earlier to m is known for sure.
func (m Mark) SameBoot(earlier Mark) bool {
	if !m.at.IsZero() && !earlier.at.IsZero() {
		return true // one process
	}
	return m.Boot != "" && m.Boot == earlier.Boot && m.Up >= earlier.Up
}

// Since returns the time from earlier to m, which is 0 if the clock was set back over a boot.
func (m Mark) Since(earlier Mark) time.Duration {
	wall := m.Wall.Sub(earlier.Wall)
	if !m.SameBoot(earlier) {
		return max(0, wall)
	}
	since := m.Up - earlier.Up
	if m.Boot == "" {
		since = wall // the process's own clock may stand still while the machine sleeps
	}
	if !m.at.IsZero() && !earlier.at.IsZero() {
		since = max(since, m.at.Sub(earlier.at))
	}
	return max(0, since)
}

// A Seen is the last instant up to which time was counted. The zero Seen has counted nothing.
type Seen struct {
	Mark
	// Behind is what the clock has yet to reach since it was set back over a boot.
	Behind time.Time `json:"behind,omitzero"`
}

// Advance counts up to now, and returns the time since the last call.
func (s *Seen) Advance(now Mark) (elapsed time.Duration) {
	last := *s
	s.Mark = now
	switch {
	case last.Wall.IsZero():
		return 0
	case now.SameBoot(last.Mark):
		elapsed = now.Since(last.Mark)
		if last.Behind.IsZero() {
			return elapsed
		}
		// If the clock is right by now, this much of the time before the boot was not counted.
		if missed := now.Wall.Add(-elapsed).Sub(last.Behind); missed >= 0 {
			s.Behind = time.Time{}
			return elapsed + missed
		}
		s.Behind = last.Behind.Add(elapsed)
		return elapsed
	}
	before := last.Wall
	if last.Behind.After(before) {
		before = last.Behind
	}
	if s.Behind = (time.Time{}); now.Wall.Before(before) {
		s.Behind = before
		return 0
	}
	return now.Wall.Sub(before)
}
