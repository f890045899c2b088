//go:build unix

package durable

import (
	"errors"
	"os"
	"syscall"
	"time"
)

const nonBlocking = syscall.O_NONBLOCK

// Lock takes the lock of a file of root, which orders processes that read files of the folder,
// change them and write them. Closing the file releases it, and so does the end of the process. If another
// process has it for longer than within, the error is a [Busy].
func Lock(root *os.Root, name string, within time.Duration) (*os.File, error) {
	for begun := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		f, err := OpenRegular(root, name, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && IsName(root, name, f) {
			return f, nil
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, err
		}
		if time.Since(begun) > within {
			return nil, Busy(name)
		}
	}
}
