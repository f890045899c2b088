package file

// How long a caller waits for the file system. A system call on one that hangs (a network
// file system without its server, a frozen or a dying disk) cannot be interrupted, so it
// is made beside the caller, who gives up after a while.

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// patience is how long an operation may take, with its wait for the one before it.
const patience = 3 * time.Second

// A lane runs one operation at a time, in a goroutine of its own. An operation whose
// caller has given up goes on and keeps the lane until it ends: so a file system that
// hangs costs one thread, and a write that it completes late cannot overwrite a newer one.
type lane struct {
	dir   string // for messages
	limit time.Duration
	slot  chan struct{}             // capacity 1; holds a value while an operation runs
	began atomic.Pointer[time.Time] // when that operation began; nil for none
}

func newLane(dir string, limit time.Duration) *lane {
	return &lane{dir: dir, limit: limit, slot: make(chan struct{}, 1)}
}

// run runs do and returns its error. If the file system does not answer in time or ctx
// ends, run returns before do does: then the caller must not touch what do writes to.
func (l *lane) run(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.limit, l.hung())
	defer cancel()
	if err := l.enter(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := do()
		l.began.Store(nil)
		<-l.slot
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ended(ctx)
	}
}

// enter waits for the operation before. It does not wait for one that hangs already.
func (l *lane) enter(ctx context.Context) error {
	select {
	case l.slot <- struct{}{}:
	default:
		if began := l.began.Load(); began != nil && time.Since(*began) >= l.limit {
			return l.hung()
		}
		select {
		case l.slot <- struct{}{}:
		case <-ctx.Done():
			return ended(ctx)
		}
	}
	l.began.Store(new(time.Now()))
	return nil
}

func (l *lane) hung() error {
	return &explained{
		"file store: the file system of " + l.dir + " does not answer; check its disk or its server",
		[]error{store.ErrUnavailable, context.DeadlineExceeded},
	}
}

// ended returns why ctx has ended: the lane's own limit or the caller.
func ended(ctx context.Context) error {
	err := context.Cause(ctx)
	if isExplained(err) {
		return err
	}
	return fmt.Errorf("file store: %w", err)
}
