// Package durable writes files that a crash leaves whole.
//
// Replace puts data in the place of a file, Create makes one that must not be there
// yet, and SyncDir makes the folder's names last as well. All of them work in an
// [os.Root], so that a folder is checked once and then not by its name any more.
package durable

import (
	"crypto/rand"
	"io/fs"
	"os"
)

// Replace writes data to name so that a crash at any instant leaves the old file or
// the new one. prefix begins the name of the file that is written first: after a
// crash such a one may be left, for the caller to remove at the next start.
// The system calls, in order:
//
//	openat(dir, "<prefix>XXXX", O_WRONLY|O_CREAT|O_EXCL, perm)
//	fchmod           where perm has more than the umask lets through
//	write
//	fsync(file)      the bytes are on the disk before the name points at them
//	close
//	renameat("<prefix>XXXX", name)
//
// The name lasts once SyncDir returned nil too. A symbolic link called name is
// replaced and not followed.
//
// Known gaps: a disk that acknowledges a flush it has not done; a network file
// system whose fsync does not reach the server's disk; and a hung file system,
// which hangs the caller, because these calls take no deadline.
func Replace(root *os.Root, name, prefix string, data []byte, perm fs.FileMode) error {
	temp := prefix + rand.Text()
	if err := Create(root, temp, data, perm); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		_ = root.Remove(temp)
		return err
	}
	return nil
}

// Create writes a file that must not be there: the error is [fs.ErrExist] then. What
// could not be written whole is removed.
func Create(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if err := write(f, data, perm); err != nil {
		_ = root.Remove(name)
		return err
	}
	return nil
}

// write gives f its mode before it has anything to hide, then its bytes, and closes it.
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
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
