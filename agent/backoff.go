package agent

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	backoffMin = 5 * time.Second
	backoffMax = 5 * time.Minute
)

// A backoff remembers attempts that failed in a row, and when the next one may be made.
// The zero backoff has no failures.
type backoff struct {
	err      *Error
	at       time.Time // when the last attempt failed, wall clock
	retryAt  time.Time // when the scheduler may make the next one
	failures int
	// promptUntil is until when attempts are made every 5 s, because the answer that was lost
	// can be had again only that long.
	promptUntil time.Time
}

// recordFailure counts one more failure and picks the pause after it: full jitter, from
// 5 s up to a ceiling that doubles until it is 5 min, or what the provider asked for.
func (b *backoff) recordFailure(err *Error, now time.Time) {
	b.failures++
	ceiling := min(backoffMax, backoffMin<<min(b.failures-1, 10))
	pause := max(backoffMin, rand.N(ceiling)+1, min(err.RetryAfter, backoffMax))
	b.err, b.at, b.retryAt = err, now, now.Add(pause)
}

// remaining returns how long until the next attempt may be made: by the scheduler, or
// (asked) for a request that has no other way to get an answer. A request may try again after
// 5 s if the provider could not be reached, because the network may be back, and likewise if
// the store or a credential could not be read. It does not retry what the provider answered
// earlier than the scheduler. A clock that is set back makes the pause no longer than
// backoffMax.
func (b *backoff) remaining(now time.Time, asked bool) time.Duration {
	if b.err == nil {
		return 0
	}
	until := b.retryAt
	prompt := now.Before(b.promptUntil)
	if prompt || asked && (errors.Is(b.err, ErrUnreachable) || b.err.Op == opLoad || b.err.Op == opCredential) {
		until = b.at.Add(backoffMin)
	}
	if d := until.Sub(now); d <= backoffMax {
		return max(d, 0)
	}
	return 0
}

// lastError returns the error for a request that is made during the pause.
func (b *backoff) lastError(pause time.Duration) *Error {
	e := *b.err
	e.RetryAfter = max(pause, time.Second)
	return &e
}
