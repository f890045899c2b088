package lock

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

// A disk that does not answer: a lock is refused after a while, the state is known all the time, and
// what was refused does not come later.
func TestFrozenDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := New(dir)
		thawed := make(chan struct{})
		f.write = func(root *os.Root, c content) error { <-thawed; return write(root, c) }
		for range 2 { // the second waits for the first one's turn
			begun := time.Now()
			failed := make(chan error)
			go func() { failed <- f.Lock("command", time.Hour) }()
			synctest.Wait()
			if f.State().Locked {
				t.Error("locked, and the disk does not know")
			}
			if err := <-failed; !errors.Is(err, durable.ErrDisk) || time.Since(begun) != durable.DiskWithin {
				t.Errorf("after %s: %v", time.Since(begun), err)
			}
		}
		close(thawed)
		synctest.Wait()
		if f.State().Locked || New(dir).State().Locked {
			t.Error("locked after all")
		}
		if err := f.Lock("command", 0); err != nil || !New(dir).State().Locked {
			t.Errorf("with a disk that answers: %v", err)
		}
	})
}
