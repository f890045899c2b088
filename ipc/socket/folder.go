package socket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// openFolder opens the socket's folder, creates it if it is missing, and refuses one
// that other users can reach into. It checks the folder that it returns, not a path that
// could name another folder by then.
func openFolder(dir string) (*os.File, error) {
	if err := createFolder(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, notAFolder(dir, err)
	}
	if err := checkFolder(f, dir); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func createFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.Chmod(dir, 0o700) // the umask may have taken some of these bits
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

func checkFolder(f *os.File, dir string) error {
	info, err := f.Stat()
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

// isAt reports whether path still names the open file f.
func isAt(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}

// takeLock locks the file called name, the lock of the socket at path, for as long as the
// returned file is open. The error names the process that holds it, if that can be found
// out.
func takeLock(path, name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, listenError(agent.CodeConfiguration, err, anotherPath, "cannot open the lock file %s: %s", name, reason(err))
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil && !isAt(f, name) { // RemoveNamed removed it meanwhile
		_ = f.Close()
		return takeLock(path, name)
	}
	if err == nil {
		_ = f.Chmod(0o600) // in spite of the umask: the next agent must be able to open it
		return f, nil
	}
	_ = f.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, listenError(agent.CodeConfiguration, err, anotherPath, "cannot lock %s: %s", name, reason(err))
	}
	if c, err := net.Dial("unix", path); err == nil {
		defer c.Close()
		return nil, held(path, c)
	}
	return nil, listenError(agent.CodeUnavailable, nil, "try again in a second",
		"another agent is just starting or stopping on %s: it holds %s", path, filepath.Base(name))
}
