package agent

import (
	"fmt"
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

	mu    sync.Mutex
	times []time.Time // of the last Count events that were allowed, a ring
	next  int         // the oldest of a full ring
}

// allow counts an event. If it is one too many, it is not counted, and wait is when the next
// one is allowed.
func (l *rateLimiter) allow() (wait time.Duration) {
	if l.rate.Count == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if len(l.times) < l.rate.Count {
		l.times = append(l.times, now)
		return 0
	}
	if wait := l.times[l.next].Add(l.rate.Per).Sub(now); wait > 0 {
		return wait
	}
	l.times[l.next] = now
	l.next = (l.next + 1) % len(l.times)
	return 0
}

// within reports whether r allows no more than o.
func (r Rate) within(o Rate) bool {
	return o.Count == 0 || r.Count != 0 && r.Count <= o.Count && r.Per >= o.Per
}
