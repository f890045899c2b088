//go:build unix

package durable

import (
	"errors"
	"io/fs"
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
		f, err := openLock(root, name)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && isName(root, name, f) {
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

// openLock opens a file and nothing else: a FIFO would block, and a link would lead away.
func openLock(root *os.Root, name string) (*os.File, error) {
	notRegular := &fs.PathError{Op: "open", Path: name, Err: errors.New("it is not a regular file; remove it")}
	if there, err := root.Lstat(name); err == nil && !there.Mode().IsRegular() {
		return nil, notRegular
	}
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EISDIR) {
		return nil, notRegular
	}
	return f, err
}

// isName reports whether f is what name in the folder is.
func isName(root *os.Root, name string, f *os.File) bool {
	there, err := root.Lstat(name)
	if err != nil {
		return false
	}
	own, err := f.Stat()
	return err == nil && os.SameFile(there, own)
}
