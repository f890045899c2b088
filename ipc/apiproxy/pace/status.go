package pace

import (
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// statusLocked describes the budget. ok is false if there is nothing to say.
func (b *budget) statusLocked(now time.Time) (s agent.APIBudget, ok bool) {
	limit, left, end := b.leftLocked(now)
	s = agent.APIBudget{
		API: b.origin.String(), Environments: slices.Clone(b.environments), Rate: b.rate.rate.String(),
		Limit: limit, Remaining: left, ResetsAt: end,
		Waiting: b.queue.len(), InFlight: b.inFlight, RefusedHere: b.refusedHere, RefusedByAPI: b.refusedByAPI,
	}
	if wait := b.untilLocked(now, 0); wait > 0 {
		s.SpentUntil = now.Add(wait).Round(0)
	}
	return s, limit > 0 || !s.SpentUntil.IsZero() || b.refusedByAPI > 0 || b.queue.len() > 0
}

// leftLocked returns the limit that is nearer to its end, that of the API or api_rate: of how
// many requests, how many are left, and when there will be more. Without a limit all are
// zero.
func (b *budget) leftLocked(now time.Time) (limit, left int, end time.Time) {
	b.rollLocked(now)
	if b.remaining != unlimited {
		limit, left = max(b.limit, b.remaining), max(0, b.remaining-b.inFlight)
		if now.Before(b.windowEnd) {
			end = b.windowEnd.Round(0)
		}
	}
	if b.rate.rate.Count == 0 {
		return limit, left, end
	}
	if own := b.rate.left(now); limit == 0 || own < left {
		return b.rate.rate.Count, own, b.rate.end(now)
	}
	return limit, left, end
}

// noteLocked returns the line for the log that is due: that most of a budget is used, or all
// of it. Each is due once an hour at most.
func (b *budget) noteLocked(now time.Time) note {
	if now.Before(b.warned.Add(noteInterval)) && now.Before(b.spentSaid.Add(noteInterval)) {
		return note{}
	}
	limit, left, end := b.leftLocked(now)
	blocked := now.Before(b.blockedUntil)
	if blocked {
		left, end = 0, b.blockedUntil.Round(0)
	}
	if !blocked && (limit == 0 || float64(limit-left) < warnAt*float64(limit)) {
		return note{}
	}
	attrs := []any{"api", b.origin.String(), "limit", limit, "left", left, "until", end.Format(time.RFC3339)}
	switch {
	case left == 0 && now.Sub(b.spentSaid) >= noteInterval:
		b.spentSaid, b.warned = now, now
		return note{"the API's rate limit is used up; until then requests are answered 429, or wait if they ask for it", attrs}
	case left > 0 && now.Sub(b.warned) >= noteInterval:
		b.warned = now
		return note{"more than four fifths of the API's rate limit are used", attrs}
	}
	return note{}
}
