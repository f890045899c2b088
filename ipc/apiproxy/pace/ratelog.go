package pace

import (
	"sort"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// A rateLog allows rate.Count requests in any span of rate.Per, and not only on average: it
// remembers when the last ones were sent. Its methods may be called on nil, which allows
// everything, as the zero rateLog does.
type rateLog struct {
	rate  agent.Rate
	times []time.Time // a ring of at most rate.Count
	next  int         // the oldest of a full ring
}

// set changes the rate. What was sent before counts.
func (l *rateLog) set(rate agent.Rate) {
	if l.rate == rate {
		return
	}
	times := append(l.times[l.next:len(l.times):len(l.times)], l.times[:l.next]...)
	if extra := len(times) - rate.Count; extra > 0 {
		times = times[extra:]
	}
	l.rate, l.times, l.next = rate, append([]time.Time(nil), times...), 0
}

// add counts a request.
func (l *rateLog) add(now time.Time) {
	switch {
	case l == nil || l.rate.Count == 0:
	case len(l.times) < l.rate.Count:
		l.times = append(l.times, now)
	default:
		l.times[l.next] = now
		l.next = (l.next + 1) % len(l.times)
	}
}

// until returns 0 if a request may be sent and reserve more after it, or else when the next
// one may.
func (l *rateLog) until(now time.Time, reserve int) time.Duration {
	if l == nil || l.rate.Count == 0 {
		return 0
	}
	free := l.rate.Count - len(l.times) - reserve
	if free > 0 {
		return 0
	}
	if len(l.times) == 0 {
		return l.rate.Per // more requests wait than may be sent at once
	}
	// As many of the oldest as are needed must be older than Per.
	nth := min(-free, len(l.times)-1)
	return max(0, l.at(nth).Add(l.rate.Per).Sub(now))
}

// at returns when the nth oldest request was sent.
func (l *rateLog) at(nth int) time.Time { return l.times[(l.next+nth)%len(l.times)] }

// left returns how many requests may be sent now.
func (l *rateLog) left(now time.Time) int { return l.rate.Count - len(l.times) + l.old(now) }

// end returns when one more may be sent than now, or the zero time if all may.
func (l *rateLog) end(now time.Time) time.Time {
	if old := l.old(now); old < len(l.times) {
		return l.at(old).Add(l.rate.Per).Round(0)
	}
	return time.Time{}
}

// old returns how many of the requests do not count any more.
func (l *rateLog) old(now time.Time) int {
	return sort.Search(len(l.times), func(i int) bool { return now.Sub(l.at(i)) < l.rate.Per })
}
