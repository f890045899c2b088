package shared

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Follower is told what happens to an environment.
type Follower struct {
	// Changed is called with the first record, which is zero if there is none, and with each one
	// that is newer than the one before.
	Changed func(Record)
	// Abandoned is called when an agent has vanished while it refreshed. The provider may have
	// replaced the refresh token, and accepts the old one for a grace period only: somebody has
	// to refresh now, even if nobody asks for a token.
	Abandoned func()
	// Recovered is called when the engine answers again after it did not.
	Recovered func()
}

// Follow calls the functions of w until ctx ends. While the engine does not answer, it tries
// again with pauses; Status has the reason.
func (f *Fleet) Follow(ctx context.Context, environment string, w Follower) {
	var known []byte
	last := int64(-1)
	var told string // the nonce of the lease that was reported
	failures := 0
	reread := true
	for ctx.Err() == nil {
		floor := f.newest(environment)
		v, err, timedOut := f.next(ctx, environment, known, reread, told)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !timedOut:
			_ = f.failed(environment, err)
			pause(ctx, min(retryMin<<min(failures, 10), retryMax))
			failures++
			reread = true // a watch would say nothing before the value changes
			continue
		case !timedOut:
			recovered := failures > 0
			failures, known = 0, v.Data
			_, r, err := f.open(environment, v, floor)
			reread = err == nil && r.Revision < f.newest(environment) // overtaken, or rolled back since
			if err == nil && r.Revision > last {
				last = r.Revision
				w.Changed(r)
			}
			if recovered {
				w.Recovered()
			}
		}
		o, err := parseObject(environment, known)
		if err == nil && o.Lease != nil && f.untilDead(environment, o) <= 0 && o.nonce() != told {
			told = o.nonce()
			f.log.Warn("an agent has vanished while it refreshed", "op", "fleet", "env", environment, "member", o.holder())
			w.Abandoned()
		}
	}
}

// next returns the next value, or the one there is now if reread is true. It returns timedOut when
// the lease in known may be dead.
func (f *Fleet) next(ctx context.Context, environment string, known []byte, reread bool, told string) (v Value, err error, timedOut bool) {
	if reread {
		v, err = f.get(ctx, environment)
		return v, err, false
	}
	short, cancel := ctx, context.CancelFunc(func() {})
	if o, err := parseObject(environment, known); err == nil && o.Lease != nil && o.nonce() != told {
		// Not all of them at the same time.
		short, cancel = context.WithTimeout(ctx, max(f.untilDead(environment, o), 0)+rand.N(time.Second))
	}
	defer cancel()
	v, err = f.engine.Watch(short, environment, known, pollIdle)
	return v, err, err != nil && short.Err() != nil
}
