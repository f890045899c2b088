// Package lazycontext makes the timer of a context when somebody first asks it for anything:
//
//	ctx, cancel := lazycontext.WithTimeout(parent, 7*time.Second)
//	defer cancel()
//
//	ctx := lazycontext.Until(parent, at)  // or d.Again(parent, at), for one request after the other
//	defer ctx.End()
//
// A cached token waits for nothing. A timer that is set and stopped again took a tenth of the
// time in which it is answered, and woke a thread that waits for the next one.
package lazycontext

import (
	"context"
	"sync"
	"time"
)

// WithTimeout returns what [context.WithTimeout] returns.
func WithTimeout(parent context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	d := Until(parent, time.Now().Add(limit))
	return d, d.End
}

// Until returns the context of [context.WithDeadline]. End is its [context.CancelFunc].
func Until(parent context.Context, at time.Time) *Deadline { return &Deadline{parent: parent, at: at} }

// Again returns the context of [Until], for a caller that has one after the other: d itself, which has
// ended, if nobody ever asked it for anything, and else a new one, as somebody may ask d again.
func (d *Deadline) Again(parent context.Context, at time.Time) *Deadline {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx != nil {
		return Until(parent, at)
	}
	d.parent, d.at, d.ended = parent, at, false
	return d
}

// A Deadline is a [context.WithDeadline] that may not be made yet.
type Deadline struct {
	parent context.Context
	at     time.Time

	mu     sync.Mutex
	ctx    context.Context // nil before anybody asked
	cancel context.CancelFunc
	ended  bool // End was called
}

// made returns the context, as [context.WithDeadline] would have made it.
func (d *Deadline) made() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == nil {
		d.ctx, d.cancel = context.WithDeadline(d.parent, d.at)
		if d.ended {
			d.cancel()
		}
	}
	return d.ctx
}

// End is the context's [context.CancelFunc].
func (d *Deadline) End() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended = true; d.cancel != nil {
		d.cancel()
	}
}

// Deadline implements [context.Context].
func (d *Deadline) Deadline() (time.Time, bool) { return d.made().Deadline() }

// Done implements [context.Context].
func (d *Deadline) Done() <-chan struct{} { return d.made().Done() }

// Err implements [context.Context].
func (d *Deadline) Err() error { return d.made().Err() }

// Value implements [context.Context].
func (d *Deadline) Value(key any) any { return d.made().Value(key) }
