// Package durable writes files that are complete after a crash.
//
// Replace replaces a file, Create makes a new one, and SyncDir makes the names in a
// folder durable as well. Lock orders the processes that do so. All of them work in an [os.Root]: once the caller has checked
// the folder, its name is not looked up again.
package durable

import (
	"crypto/rand"
	"io/fs"
	"os"
	"time"
)

// A Busy is the name of a lock that another process keeps.
type Busy string

// Error says so.
func (b Busy) Error() string { return "another process keeps " + string(b) }

// StateLock is the name of the lock in the state folder for the files that several agents may change,
// and LockWithin how long each of them waits for it.
const (
	StateLock  = "state.lock"
	LockWithin = time.Second
)

// Replace writes data to name so that a crash at any instant leaves either the old file
// or the new one. It first writes a temporary file whose name begins with prefix. A
// crash may leave that file, and the caller should remove it at the next start.
// The system calls, in order:
//
//	openat(dir, "<prefix>XXXX", O_RDWR|O_CREAT|O_EXCL, perm)
//	fchmod           if perm has bits that the umask may remove
//	write
//	fsync(file)      the bytes are on the disk before the name points at them
//	close            by ReplaceOpen not at all
//	renameat("<prefix>XXXX", name)
//
// The name is durable only after SyncDir has returned nil, too. If name is a symbolic
// link, the link is replaced, not followed.
//
// Known gaps: a disk that acknowledges a flush without doing it; a network file
// system whose fsync does not reach the server's disk; and a file system that hangs,
// which blocks the caller, because these calls take no deadline.
func Replace(root *os.Root, name, prefix string, data []byte, perm fs.FileMode) error {
	temp := prefix + rand.Text()
	if err := Create(root, temp, data, perm); err != nil {
		return err
	}
	return rename(root, temp, name)
}

// ReplaceOpen is Replace for a file that must be reached later, whatever is done to its name
// and its mode: it returns the new file, open for reading and writing.
func ReplaceOpen(root *os.Root, name, prefix string, data []byte, perm fs.FileMode) (*os.File, error) {
	temp := prefix + rand.Text()
	f, err := create(root, temp, data, perm)
	if err != nil {
		return nil, err
	}
	if err := rename(root, temp, name); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func rename(root *os.Root, temp, name string) error {
	err := root.Rename(temp, name)
	if err != nil {
		_ = root.Remove(temp)
	}
	return err
}

// Create writes a new file. If it exists, the error is [fs.ErrExist]. A file that could
// not be written completely is removed.
func Create(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	f, err := create(root, name, data, perm)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		_ = root.Remove(name)
		return err
	}
	return nil
}

func create(root *os.Root, name string, data []byte, perm fs.FileMode) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	if err := write(f, data, perm); err != nil {
		_ = f.Close() // first: Windows removes no open file
		_ = root.Remove(name)
		return nil, err
	}
	return f, nil
}

// write sets f's mode while f is still empty, and writes data.
func write(f *os.File, data []byte, perm fs.FileMode) (err error) {
	if perm&0o077 != 0 {
		err = f.Chmod(perm)
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}
