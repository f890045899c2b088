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
	var late atomic.Bool
	done := make(chan error, 1)
	go func() {
		err := do()
		if late.Swap(true) && err == nil {
			undo()
		}
		done <- err
	}()
	timer := time.NewTimer(DiskWithin)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	}
	if late.Swap(true) {
		return <-done // it was just in time
	}
	return ErrDisk
}
