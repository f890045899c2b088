package file

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

const (
	hasModes = false // the folder's ACL decides; the one of a user's profile excludes others
	nonblock = 0
)

func checkOwner(fs.FileInfo, string) error { return nil }

func lockFolder(root *os.Root, dir string) (*os.File, error) {
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain(err, "write to", dir)
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
	if err == nil {
		return f, nil
	}
	defer f.Close()
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return nil, refuse("%s is in use by another kyc-agentd; stop that one first", dir)
	}
	return nil, explain(err, "lock", dir)
}

func unlockFolder(f *os.File) error { return f.Close() }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// inTheWay is false: Windows denies access to a folder where a file belongs.
func inTheWay(error) bool { return false }
