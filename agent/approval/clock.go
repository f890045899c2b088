package approval

import (
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/internal/bootclock"
)

// over reports whether the grant has ended.
func (g *Grant) over() bool {
	return g.left <= 0 || g.leader != nil && !g.leader.Alive()
}

// count takes the time since the last call from the grants, whatever was done to the clock, and
// moves the times at which they end with it.
func (a *Approvals) count() {
	elapsed := a.seen.Advance(bootclock.Now())
	for _, g := range a.grants {
		g.left -= elapsed
		g.EndsAt = a.seen.Wall.Add(g.left)
	}
}

// saveSeen saves up to when the time of standing grants was counted, if that is not on the disk
// for least: after a boot the disk is all there is to know it from.
func (a *Approvals) saveSeen(least time.Duration) {
	if !slices.ContainsFunc(a.grants, func(g *Grant) bool { return g.Standing }) || a.seen.SameBoot(a.savedAt) && a.seen.Since(a.savedAt) < least {
		return
	}
	a.savedAt = a.seen.Mark // also if it fails: the next try is as late
	if all, err := a.save(a.grants); err == nil {
		a.grants = all
	}
}

// Close saves up to when the time of standing grants was counted.
func (a *Approvals) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count()
	a.saveSeen(0)
}
