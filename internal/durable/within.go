package durable

import (
	"fmt"
	"sync/atomic"
	"time"
)

// DiskWithin is how long a caller of Within waits for the disk.
const DiskWithin = 5 * time.Second

// ErrDisk means that the disk does not answer, as one that is frozen.
var ErrDisk = fmt.Errorf("the disk has not answered for %s", DiskWithin)

// Within runs do, which needs the disk, and returns its error, or ErrDisk if that takes longer
// than DiskWithin. A call of a disk that does not answer cannot be ended: if do succeeds later,
// undo runs, because the caller was told that nothing has changed.
func Within(do func() error, undo func()) error {
	timer := time.NewTimer(DiskWithin)
	defer timer.Stop()
	return Until(timer.C, func(late func() bool) error {
		err := do()
		if late() && err == nil {
			undo()
		}
		return err
	})
}

// Until is Within for a caller that has waited for something else before, until end. do calls
// late once, while what it has done can still be undone; true means that it has to be.
func Until(end <-chan time.Time, do func(late func() bool) error) error {
	var settled atomic.Bool
	late := func() bool { return settled.Swap(true) }
	done := make(chan error, 1)
	go func() { done <- do(late) }()
	select {
	case err := <-done:
		return err
	case <-end:
	}
	if late() {
		return <-done // it was just in time
	}
	return ErrDisk
}
