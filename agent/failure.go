package agent

import (
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 5 * time.Second
	backoffMost  = 5 * time.Minute
)

// A failure remembers attempts that failed in a row, and when the next one may be
// made. The zero failure is "none".
type failure struct {
	err   *Error
	at    time.Time // when the last one failed, wall clock
	until time.Time // when the next may start by itself
	count int
}

// add notes one more failure and picks the pause after it: full jitter, from 5 s
// up to a ceiling that doubles to 5 min, or what the provider asked for.
func (f *failure) add(err *Error, now time.Time) {
	f.count++
	ceiling := min(backoffMost, backoffFirst<<min(f.count-1, 10))
	pause := max(backoffFirst, rand.N(ceiling)+1, min(err.RetryAfter, backoffMost))
	f.err, f.at, f.until = err, now, now.Add(pause)
}

// wait is how long until a new attempt may be made: by itself, or because a
// request has nothing else to go on (asked). A request may try an unreachable
// provider again after 5 s, for the network may be back, and so may the file of a
// credential; it does not press one that refused. A clock set back cannot make it longer
// than the longest pause.
func (f *failure) wait(now time.Time, asked bool) time.Duration {
	if f.err == nil {
		return 0
	}
	until := f.until
	if asked && (f.err.Code == CodeUnavailable || f.err.Op == opCredential) {
		until = f.at.Add(backoffFirst)
	}
	if d := until.Sub(now); d <= backoffMost {
		return max(d, 0)
	}
	return 0
}

// again is the error for a request made during the pause.
func (f *failure) again(pause time.Duration) *Error {
	e := *f.err
	e.RetryAfter = max(pause, time.Second)
	return &e
}
