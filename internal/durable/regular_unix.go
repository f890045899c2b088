//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// OpenRegular opens a file of root and nothing else: a FIFO would block, and a link would lead away.
// Others may not read the file after that. flag is that of [os.OpenFile].
func OpenRegular(root *os.Root, name string, flag int) (*os.File, error) {
	notRegular := &fs.PathError{Op: "open", Path: name, Err: errors.New("it is not a regular file; remove it")}
	if there, err := root.Lstat(name); err == nil && !there.Mode().IsRegular() {
		return nil, notRegular
	}
	f, err := root.OpenFile(name, flag|syscall.O_NOFOLLOW|nonBlocking, 0o600)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EISDIR) {
		return nil, notRegular
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = notRegular
	case info.Mode().Perm()&0o077 != 0:
		err = f.Chmod(0o600)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// IsName reports whether f is what name in the folder is.
func IsName(root *os.Root, name string, f *os.File) bool {
	there, err := root.Lstat(name)
	if err != nil {
		return false
	}
	own, err := f.Stat()
	return err == nil && os.SameFile(there, own)
}
