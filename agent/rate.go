package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Rate is a number of requests in a time: "60/1m". The zero Rate is no limit. It implements
// [encoding.TextUnmarshaler].
type Rate struct {
	Count int
	Per   time.Duration
}

const (
	maxRateCount = 100_000 // the time of each is remembered
	maxRatePer   = 24 * time.Hour
)

// ParseRate reads a rate: a number from 1 to 100000, a slash, and a Go duration of at least a
// second and at most 24h.
func ParseRate(text string) (Rate, error) {
	count, per, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(count, 10, 32) // takes no sign
	if err != nil || n < 1 || n > maxRateCount {
		return Rate{}, fmt.Errorf(`bad rate %q; want requests in a time, such as "60/1m", of 1 to %d requests`, text, maxRateCount)
	}
	d, err := time.ParseDuration(per)
	if err != nil || d < time.Second || d > maxRatePer {
		return Rate{}, fmt.Errorf(`bad rate %q; want requests in a time, such as "60/1m", of 1s to 24h`, text)
	}
	return Rate{Count: int(n), Per: d}, nil
}

// String returns the rate as ParseRate reads it, or "".
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	per := r.Per.String() // "1h0m0s"
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(per, zero) {
			per = strings.TrimSuffix(per, zero[1:])
		}
	}
	return strconv.Itoa(r.Count) + "/" + per
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// A rateLimiter allows Count events in any span of Per, and not only on average: it remembers
// when the last ones were.
type rateLimiter struct {
	rate Rate

	mu      sync.Mutex
	times   []time.Time // of the events in the last Per, in ascending order
	refused int64
}

// allow counts an event at the time that it returns. If it is one too many, it is not counted,
// and wait is when the next one is allowed.
func (l *rateLimiter) allow() (at time.Time, wait time.Duration) {
	if l.rate.Count == 0 {
		return time.Time{}, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forget(now)
	if len(l.times) == l.rate.Count {
		l.refused++
		return time.Time{}, l.times[0].Add(l.rate.Per).Sub(now)
	}
	l.times = append(l.times, now)
	return now, 0
}

// forget drops the events that no longer count at now.
func (l *rateLimiter) forget(now time.Time) {
	kept := slices.IndexFunc(l.times, func(at time.Time) bool { return at.Add(l.rate.Per).After(now) })
	if kept < 0 {
		kept = len(l.times)
	}
	l.times = l.times[kept:]
}

// refund takes back an event that allow counted at that time.
func (l *rateLimiter) refund(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range slices.Backward(l.times) {
		if other.Equal(at) {
			l.times = slices.Delete(l.times, i, i+1)
			return
		}
	}
}

// state returns how many events are left now, and how many were refused.
func (l *rateLimiter) state() (remaining int, refused int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(time.Now())
	return l.rate.Count - len(l.times), l.refused
}

// within reports whether r allows no more than o.
func (r Rate) within(o Rate) bool {
	return o.Count == 0 || r.Count != 0 && r.Count <= o.Count && r.Per >= o.Per
}
