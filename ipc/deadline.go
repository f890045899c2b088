package ipc

import (
	"context"
	"sync"
	"time"
)

// A deadline is the context of a request's work: [context.WithDeadline], made when somebody first
// asks it for anything. A cached token waits for nothing, and a timer that is set and stopped
// again took a tenth of the handler's time.
type deadline struct {
	parent context.Context
	at     time.Time

	mu     sync.Mutex
	ctx    context.Context // nil before anybody asked
	cancel context.CancelFunc
	ended  bool // end was called
}

// made returns the context, as [context.WithDeadline] would have made it.
func (d *deadline) made() context.Context {
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

// end is the context's [context.CancelFunc].
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended = true; d.cancel != nil {
		d.cancel()
	}
}

// Deadline implements [context.Context].
func (d *deadline) Deadline() (time.Time, bool) { return d.made().Deadline() }

// Done implements [context.Context].
func (d *deadline) Done() <-chan struct{} { return d.made().Done() }

// Err implements [context.Context].
func (d *deadline) Err() error { return d.made().Err() }

// Value implements [context.Context].
func (d *deadline) Value(key any) any { return d.made().Value(key) }
