package pace

import (
	"fmt"
	"math"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

const (
	// unlimited is the remaining of an API that has named no limit.
	unlimited = -1
	// maxPause is the longest time for which an API can stop requests. After that one of
	// them asks again. The API's documented window is 5 minutes.
	maxPause = 15 * time.Minute
	// maxMargin is added to the end of a window, which an API tells in whole seconds that may
	// be rounded down. Of a short window it is a fiftieth.
	maxMargin = time.Second

	firstBackoff = time.Second // after a 429 that does not say how long to wait
	maxBackoff   = time.Minute

	// warnAt is which part of a budget is used when the log warns.
	warnAt = 0.8
	// noteInterval is how long a warning is not repeated.
	noteInterval = time.Hour
)

// A budget is what may be sent to one API. Its Pacer's mutex guards it.
type budget struct {
	pacer        *Pacer
	origin       origin.Origin
	environments []string
	queue        fairQueue
	timer        *time.Timer // dispatches when something may be sent again; nil before the first use

	inFlight int     // sent, and not answered
	rate     rateLog // of api_rate

	// What the API says. The window ends at windowEnd; reset is its name, as the API wrote it.
	limit     int // 0 if the API does not say
	remaining int // after the last answer, or unlimited
	reset     int64
	windowEnd time.Time
	unheard   bool // no answer in this window, and no limit from the last one

	blockedUntil time.Time     // by a 429
	backoff      time.Duration // of the last 429 without a hint; 0 after any other answer

	refusedHere, refusedByAPI int // answers of 429 so far
	warned, spentSaid         time.Time
}

// admitsLocked reports whether r may be sent without a turn in the queue.
func (b *budget) admitsLocked(now time.Time, r Request) bool {
	if r.Wait > 0 && (b.queue.len() > 0 || b.unheard && b.inFlight >= maxParallel) {
		return false
	}
	return b.untilLocked(now, b.queue.len()) == 0 && b.pacer.shares[r.Client.Socket].until(now, 0) == 0
}

// untilLocked returns 0 if a request may be sent and reserve more after it, or else when to
// look again. What is in flight counts as spent: the API may not have counted it.
func (b *budget) untilLocked(now time.Time, reserve int) time.Duration {
	b.rollLocked(now)
	wait := max(b.blockedUntil.Sub(now), b.rate.until(now, reserve), 0)
	if b.remaining == unlimited || b.remaining-b.inFlight-reserve > 0 {
		return wait
	}
	if !now.Before(b.windowEnd) { // more is in flight than a whole window has; its answers may come sooner
		return max(wait, time.Second)
	}
	return max(wait, b.windowEnd.Sub(now))
}

// rollLocked begins a new window if the last one has ended.
func (b *budget) rollLocked(now time.Time) {
	if b.remaining == unlimited || now.Before(b.windowEnd) {
		return
	}
	b.remaining = b.limit
	if b.limit == 0 {
		b.remaining, b.unheard = unlimited, true
	}
}

// takeLocked counts a request of socket that is about to be sent.
func (b *budget) takeLocked(now time.Time, socket string) {
	b.inFlight++
	b.rate.add(now)
	b.pacer.shares[socket].add(now)
}

// dispatchLocked gives turns to the requests that wait, as many as may be sent, and sets the
// timer for the next.
func (b *budget) dispatchLocked(now time.Time) {
	shares := b.pacer.shares
	for b.queue.len() > 0 && b.inFlight < maxParallel {
		if wait := b.untilLocked(now, 0); wait > 0 {
			b.wakeLocked(wait)
			return
		}
		next := maxPause
		w := b.queue.pop(func(socket string) bool {
			wait := shares[socket].until(now, 0)
			if wait > 0 {
				next = min(next, wait)
			}
			return wait == 0
		})
		if w == nil {
			b.wakeLocked(next)
			return
		}
		b.takeLocked(now, w.client.Socket)
		b.pacer.countLocked(w, -1)
		w.granted = true
		close(w.ready)
	}
}

// wakeLocked has dispatchLocked called after wait.
func (b *budget) wakeLocked(wait time.Duration) {
	if b.timer != nil {
		b.timer.Reset(wait)
		return
	}
	b.timer = time.AfterFunc(wait, func() {
		b.pacer.mu.Lock()
		defer b.pacer.mu.Unlock()
		b.dispatchLocked(time.Now())
	})
}

// learnLocked takes in an answer. For a 429 it returns how long to wait.
func (b *budget) learnLocked(now time.Time, a answer) (wait time.Duration) {
	if !a.arrived {
		return 0
	}
	b.unheard = false
	if a.hasLimits {
		b.learnLimitsLocked(now, a)
	}
	if !a.refused {
		b.backoff = 0
		return 0
	}
	b.refusedByAPI++
	if wait = a.retryAfter; wait <= 0 {
		b.backoff = min(max(firstBackoff, 2*b.backoff), maxBackoff)
		wait = b.backoff
	}
	if until := now.Add(min(wait, maxPause)); until.After(b.blockedUntil) {
		b.blockedUntil = until
	}
	return wait
}

// learnLimitsLocked takes in the limit of an answer. Answers may overtake one another, so
// within a window the smallest remaining holds, and those of an earlier window do not count.
func (b *budget) learnLimitsLocked(now time.Time, a answer) {
	switch {
	case b.remaining == unlimited || a.reset > b.reset:
		b.reset, b.remaining = a.reset, a.remaining
		span := min(a.untilReset, maxPause)
		b.windowEnd = now.Add(span + min(maxMargin, span/50))
	case a.reset == b.reset:
		b.remaining = min(b.remaining, a.remaining)
	default:
		return
	}
	b.limit = a.limit
}

// refuse is refuseLocked for a request whose wait is over.
func (b *budget) refuse(r Request) error {
	b.pacer.mu.Lock()
	defer b.pacer.mu.Unlock()
	return b.refuseLocked(time.Now(), r)
}

// refuseLocked returns the error for a request that may not be sent now.
func (b *budget) refuseLocked(now time.Time, r Request) error {
	b.refusedHere++
	wait, what := b.untilLocked(now, b.queue.len()), "the API's limit is used up"
	if wait == 0 {
		wait, what = b.pacer.shares[r.Client.Socket].until(now, 0), "the limit of this socket is used up"
	}
	switch {
	case now.Before(b.blockedUntil):
		what = "the API asks to wait: it answered 429"
	case b.limit > 0 && now.Before(b.windowEnd):
		what = fmt.Sprintf("the API's limit of %d requests is used up", b.limit)
	}
	if rate := b.rate.until(now, b.queue.len()); rate > 0 && rate >= wait {
		what = fmt.Sprintf("the %s requests of api_rate are used up", b.rate.rate)
	}
	return throttled(what, wait)
}

func (b *budget) errQueueFullLocked(now time.Time) error {
	b.refusedHere++
	return throttled("too many requests wait already", max(b.untilLocked(now, b.queue.len()), time.Second))
}

func throttled(what string, wait time.Duration) error {
	wait = max(wait, time.Second)
	return &agent.Error{
		Code: agent.CodeThrottled, Op: "proxy", Message: what, RetryAfter: wait,
		Hint: fmt.Sprintf("try again in %d seconds, or let the request wait with the header Prefer: wait=SECONDS", seconds(wait)),
	}
}

func errHungUp() error { return unavailable("the client went away") }

func unavailable(what string) error {
	return &agent.Error{Code: agent.CodeUnavailable, Op: "proxy", Message: what, Hint: "try again"}
}

// seconds returns d in whole seconds, rounded up, and at least 1.
func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }
