package file

// The folder of a Store: opened, checked and locked. The system calls that write one file
// are in internal/durable; this file adds the sync of the folder, and its repetition after
// a failure.

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

const (
	// tempPrefix begins the name of a file that is being written. No key begins
	// with a dot, so such a file can never be mistaken for a value.
	tempPrefix = ".new-"
	lockName   = ".lock"
)

type folder struct {
	root *os.Root
	// lock is locked as long as the folder is open.
	lock *os.File
	// info and lockInfo are of the folder and of the lock file when they were opened.
	info, lockInfo fs.FileInfo
	// unsynced is set while a rename or a removal may not be on the disk yet.
	unsynced bool
}

// openFolder opens the folder at dir and makes it if there is none. It checks and locks
// it, removes the temporary files of a killed process, and makes that process's last
// rename durable in case it was killed before its sync.
func openFolder(dir string) (*folder, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, explain(err, "make the folder", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, explain(err, "open the folder", dir)
	}
	f := &folder{root: root, unsynced: true}
	if err := f.prepare(dir); err != nil {
		_ = f.close()
		return nil, err
	}
	return f, nil
}

func (f *folder) prepare(dir string) (err error) {
	if f.info, err = f.root.Stat("."); err != nil {
		return explain(err, "look at the folder", dir)
	}
	if err := checkPrivate(f.info, dir, 0o700); err != nil {
		return err
	}
	if f.lock, err = lockFolder(f.root, dir); err != nil {
		return err
	}
	if f.lockInfo, err = f.lock.Stat(); err != nil {
		return explain(err, "lock", dir)
	}
	if err := f.removeTemps(); err != nil {
		return explain(err, "clean the folder", dir)
	}
	if err := f.sync(); err != nil {
		return explain(err, "sync the folder", dir)
	}
	return nil
}

// close unlocks the folder.
func (f *folder) close() error {
	err := f.root.Close()
	if f.lock != nil {
		err = errors.Join(err, unlockFolder(f.lock))
	}
	return err
}

// isAt reports whether f is the folder at dir and still holds its lock. It is false if
// the folder or the lock file was removed or replaced: another process can lock the new
// one. Where it may not look, it is true: what is open can still be used.
func (f *folder) isAt(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	if !os.SameFile(info, f.info) {
		return false
	}
	info, err = f.root.Lstat(lockName)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	return os.SameFile(info, f.lockInfo)
}

func (f *folder) removeTemps() error {
	names, err := f.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) {
			if err := f.root.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *folder) names() ([]string, error) {
	d, err := f.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// replace writes data to name; the change is durable once it has returned nil.
func (f *folder) replace(name string, data []byte) error {
	if err := durable.Replace(f.root, name, tempPrefix, data, 0o600); err != nil {
		return err
	}
	f.unsynced = true
	return f.syncIfNeeded()
}

// remove removes name, if it is there; that is durable once it has returned nil.
func (f *folder) remove(name string) error {
	err := f.root.Remove(name)
	if err == nil {
		f.unsynced = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.syncIfNeeded()
}

// syncIfNeeded makes the folder's names durable unless they already are. A Put fails if
// its rename succeeded and its sync did not; when it is repeated with the same value,
// nothing is left to write, but the folder still has to be synced.
func (f *folder) syncIfNeeded() error {
	if !f.unsynced {
		return nil
	}
	return f.sync()
}

func (f *folder) sync() error {
	if err := durable.SyncDir(f.root); err != nil {
		return err
	}
	f.unsynced = false
	return nil
}
