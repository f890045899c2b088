package agent

import (
	"math/rand/v2"
	"time"
)

const (
	backoffMin = 5 * time.Second
	backoffMax = 5 * time.Minute
)

// A backoff remembers attempts that failed in a row, and when the next one may be
// made. The zero failure is "none".
type backoff struct {
	err      *Error
	at       time.Time // when the last one failed, wall clock
	retryAt  time.Time // when the next may start by itself
	failures int
}

// recordFailure notes one more failure and picks the pause after it: full jitter, from 5 s
// up to a ceiling that doubles to 5 min, or what the provider asked for.
func (f *backoff) recordFailure(err *Error, now time.Time) {
	f.failures++
	ceiling := min(backoffMax, backoffMin<<min(f.failures-1, 10))
	pause := max(backoffMin, rand.N(ceiling)+1, min(err.RetryAfter, backoffMax))
	f.err, f.at, f.retryAt = err, now, now.Add(pause)
}

// remaining is how long until a new attempt may be made: by itself, or because a
// request has nothing else to go on (asked). A request may try an unreachable
// provider again after 5 s, for the network may be back, and so may the file of a
// credential; it does not press one that refused. A clock set back cannot make it longer
// than the longest pause.
func (f *backoff) remaining(now time.Time, asked bool) time.Duration {
	if f.err == nil {
		return 0
	}
	until := f.retryAt
	if asked && (f.err.Code == CodeUnavailable || f.err.Op == opCredential) {
		until = f.at.Add(backoffMin)
	}
	if d := until.Sub(now); d <= backoffMax {
		return max(d, 0)
	}
	return 0
}

// lastError is the error for a request made during the pause.
func (f *backoff) lastError(pause time.Duration) *Error {
	e := *f.err
	e.RetryAfter = max(pause, time.Second)
	return &e
}
