package socket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// A folder is one that was checked and is open. What is made and removed in it is named
// relative to it: its path can lead to a folder of another user a moment later, if
// that user may rename what is in one of the folders above.
type folder struct {
	path string
	root *os.Root
	file *os.File // the same folder
}

// openFolder opens the socket's folder, creates it if it is missing, and refuses one
// that other users can reach into.
func openFolder(dir string) (*folder, error) {
	if err := createFolder(dir); err != nil {
		return nil, err
	}
	return openPrivate(dir)
}

// openPrivate opens a folder that is there, and refuses one that other users can reach into.
func openPrivate(dir string) (*folder, error) {
	file, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, notAFolder(dir, err)
	}
	f := &folder{path: dir, file: file}
	if err := f.check(); err != nil {
		f.close()
		return nil, err
	}
	if f.root, err = os.OpenRoot(dir); err != nil {
		f.close()
		return nil, notAFolder(dir, err)
	}
	// OpenRoot follows symbolic links, so it may have opened another one.
	if opened, err := f.root.Stat("."); err != nil || !f.is(opened) {
		f.close()
		return nil, listenError(agent.CodeConfiguration, err, anotherPath,
			"socket folder %s was replaced meanwhile", dir)
	}
	return f, nil
}

// is reports whether info describes the folder.
func (f *folder) is(info fs.FileInfo) bool {
	checked, err := f.file.Stat()
	return err == nil && os.SameFile(checked, info)
}

// isAtPath reports whether the path still leads to the folder.
func (f *folder) isAtPath() bool {
	named, err := os.Lstat(f.path)
	return err == nil && f.is(named)
}

func (f *folder) close() {
	_ = f.file.Close()
	if f.root != nil {
		_ = f.root.Close()
	}
}

func createFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if info, lerr := os.Lstat(dir); err == nil && lerr == nil && info.IsDir() && info.Mode().Perm() != 0o700 {
		err = os.Chmod(dir, 0o700) // the umask took some of these bits
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return listenError(agent.CodeConfiguration, err,
			"set XDG_RUNTIME_DIR to a folder that belongs to you, or "+anotherPath,
			"there is no folder %s for the socket folder %s", filepath.Dir(dir), filepath.Base(dir))
	}
	return listenError(agent.CodeConfiguration, err, anotherPath, "cannot make the socket folder %s: %s", dir, reason(err))
}

func notAFolder(dir string, err error) error {
	what := "cannot be opened: " + reason(err)
	if info, lerr := os.Lstat(dir); lerr == nil {
		switch {
		case info.Mode().Type() == fs.ModeSymlink:
			what = "is a symbolic link; name the folder itself"
		case !info.IsDir():
			what = "is not a folder"
		}
	}
	return listenError(agent.CodeConfiguration, err, anotherPath, "socket folder %s %s", dir, what)
}

func (f *folder) check() error {
	dir := f.path
	info, err := f.file.Stat()
	if err != nil {
		return notAFolder(dir, err)
	}
	if uid := ownerOf(info); uid != os.Getuid() {
		return listenError(agent.CodeConfiguration, nil, anotherPath,
			"socket folder %s belongs to uid %d, and this agent runs as uid %d", dir, uid, os.Getuid())
	}
	mode := info.Mode()
	if mode.Perm()&0o077 == 0 {
		return nil
	}
	hint := "run: chmod 700 " + shellquote.Quote(dir)
	if mode&fs.ModeSticky != 0 { // such as /tmp, which is open on purpose
		hint = anotherPath
	}
	return listenError(agent.CodeConfiguration, nil, hint, "socket folder %s has mode %04o", dir, mode.Perm())
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// has reports whether name in the folder still is the open file.
func (f *folder) has(file *os.File, name string) bool {
	named, err := f.root.Lstat(name)
	if err != nil {
		return false
	}
	opened, err := file.Stat()
	return err == nil && os.SameFile(opened, named)
}

// takeLock locks the file called name in dir, the lock of the socket at path, for as long
// as the returned file is open. The error names the process that holds it, if that can be
// found out.
func takeLock(path string, dir *folder, name string) (*os.File, error) {
	full := filepath.Join(dir.path, name)
	// Not by dir.root, which follows links to what is in the folder.
	fd, err := unix.Openat(int(dir.file.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, listenError(agent.CodeConfiguration, err, anotherPath, "cannot open the lock file %s: %s", full, reason(err))
	}
	f := os.NewFile(uintptr(fd), full)
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil && !dir.has(f, name) { // RemoveNamed removed it meanwhile
		_ = f.Close()
		return takeLock(path, dir, name)
	}
	if err == nil {
		_ = f.Chmod(0o600) // in spite of the umask: the next agent must be able to open it
		return f, nil
	}
	_ = f.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, listenError(agent.CodeConfiguration, err, anotherPath, "cannot lock %s: %s", full, reason(err))
	}
	if c, err := net.Dial("unix", path); err == nil {
		defer c.Close()
		return nil, held(path, c)
	}
	return nil, listenError(agent.CodeUnavailable, nil, "try again in a second",
		"another agent is just starting or stopping on %s: it holds %s", path, name)
}
