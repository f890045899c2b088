package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Listen creates the agent's socket at path and returns a [Listener] on it. It creates
// the folder of path (0700) if it is missing; an existing folder must belong to this user
// and be closed to others. Listen leaves a socket alone that an agent answers on, and
// replaces one that nobody answers on. The listener accepts processes of this user only,
// and its Close removes the socket if it is still the same file.
//
// Errors are [agent.Error]s: CodeConfiguration for a path or folder that cannot be used,
// CodeUnavailable if another agent is there.
func Listen(path string) (*Listener, error) {
	path, err := socketFile(path)
	if err != nil {
		return nil, err
	}
	return listenOn(path, path+".lock")
}

// listenOn returns a Listener that is bound to path, an absolute one.
func listenOn(path, lockFile string, folders ...string) (*Listener, error) {
	l := newListener(path, lockFile, folders...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.receiveLocked() {
		return l, nil
	}
	if err := l.bindLocked(); err != nil {
		return nil, err
	}
	return l, nil
}

// bindLocked makes the socket and, if they are missing, its folders.
func (l *Listener) bindLocked() error {
	// What is not an agent's is named as what it is, and gets no lock file beside it.
	if info, err := os.Lstat(l.path); err == nil {
		if _, err := isStale(info, l.path, l.path); err != nil {
			return err
		}
	}
	var dir, lockDir *folder
	for _, path := range slices.Concat(l.folders, []string{filepath.Dir(l.path)}) {
		f, err := openFolder(path)
		if err != nil {
			return err
		}
		defer f.close()
		if dir = f; path == filepath.Dir(l.lockFile) {
			lockDir = f
		}
	}
	// The lock decides between two agents that start at the same time. Its file stays:
	// an agent that removed it would let a third one in.
	var err error
	lock := l.lock
	if lock == nil || !lockDir.has(lock, filepath.Base(l.lockFile)) {
		if lock, err = takeLock(l.path, lockDir, filepath.Base(l.lockFile)); err != nil {
			return err
		}
	}
	b, err := bindIn(dir, filepath.Base(l.path))
	if lock != l.lock {
		unused := l.lock
		if err != nil {
			unused = lock
		} else {
			l.lock = lock
		}
		if unused != nil {
			_ = unused.Close()
		}
	}
	if err == nil {
		l.addLocked(b)
	}
	return err
}

func listenError(code agent.Code, err error, hint, format string, args ...any) *agent.Error {
	return &agent.Error{Code: code, Op: "listen", Message: fmt.Sprintf(format, args...), Hint: hint, Err: err}
}

const anotherPath = "choose another path with --socket or KYC_AGENT_SOCK"

// socketFile makes path absolute. Go takes a path that begins with @ for a name in
// Linux's abstract namespace, which has no owner. An absolute path does not begin with @.
func socketFile(path string) (string, error) {
	if what := misspelled(path); what != "" {
		return "", listenError(agent.CodeConfiguration, nil, anotherPath, "%s %s", path, what)
	}
	abs, err := filepath.Abs(path)
	if path == "" || strings.ContainsRune(path, 0) || err != nil {
		return "", listenError(agent.CodeConfiguration, err, anotherPath, "%q is no path for a socket", path)
	}
	if len(abs) > MaxPath {
		return "", listenError(agent.CodeConfiguration, nil, anotherPath,
			"socket path %s has %d bytes, and the system takes %d", abs, len(abs), MaxPath)
	}
	return abs, nil
}

// bindIn makes the socket called name in dir. The caller holds its lock.
func bindIn(dir *folder, name string) (*binding, error) {
	path := filepath.Join(dir.path, name)
	if err := clearStale(dir, name); err != nil {
		return nil, err
	}
	ln, err := dir.bind(name)
	if err != nil && !dir.isAtPath() {
		err = errReplaced
	}
	if err != nil {
		return nil, listenError(agent.CodeConfiguration, err, anotherPath, "cannot make the socket %s: %s", path, reason(err))
	}
	bound, err := checkBound(dir, name, dir.root.Chmod(name, 0o600))
	var root *os.Root
	if err == nil {
		root, err = dir.root.OpenRoot(".")
	}
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return &binding{unix: ln, pid: os.Getpid(), root: root, name: name, file: bound}, nil
}

var errReplaced = errors.New("its folder was replaced meanwhile")

func bind(path string) (*net.UnixListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var modeErr error
		err := c.Control(func(fd uintptr) { modeErr = restrictMode(int(fd)) })
		return errors.Join(err, modeErr)
	}}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	ul := ln.(*net.UnixListener)
	ul.SetUnlinkOnClose(false) // it would remove any file that is at path by then
	return ul, nil
}

// checkBound checks the file that bind and chmod made: a umask, a file system without
// modes or a folder that was replaced meanwhile can make it differ from what was asked. It
// removes a file that clients would not find.
func checkBound(dir *folder, name string, chmodErr error) (fs.FileInfo, error) {
	path := filepath.Join(dir.path, name)
	wrong := func(what string) error {
		return listenError(agent.CodeConfiguration, nil, anotherPath, "the new socket %s %s", path, what)
	}
	bound, err := dir.root.Lstat(name)
	if err != nil {
		removeStray(path)
		return nil, wrong("is gone: " + reason(err))
	}
	if !dir.isAtPath() {
		removeIfSame(dir.root, name, bound)
		return nil, wrong("is in a folder that was replaced meanwhile")
	}
	if chmodErr != nil {
		return nil, wrong("cannot be made private: " + reason(chmodErr))
	}
	if bound.Mode() != fs.ModeSocket|0o600 {
		return nil, wrong(fmt.Sprintf("has mode %s, not srw-------", bound.Mode()))
	}
	if uid := ownerOf(bound); uid != os.Getuid() {
		return nil, wrong(fmt.Sprintf("belongs to uid %d", uid))
	}
	return bound, nil
}

// removeStray removes the socket at path if this process listens on it: one that was bound
// in another folder than the one that was checked, where the system cannot prevent that.
func removeStray(path string) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return
	}
	defer c.Close()
	if p, err := PeerOf(c); err == nil && p.PID == os.Getpid() {
		_ = os.Remove(path)
	}
}

// removeIfSame removes name from root if it is still the file that info describes.
func removeIfSame(root *os.Root, name string, info fs.FileInfo) {
	if now, err := root.Lstat(name); err == nil && os.SameFile(now, info) {
		_ = root.Remove(name)
	}
}

// clearStale removes the socket called name from dir if nobody answers on it.
func clearStale(dir *folder, name string) error {
	path := filepath.Join(dir.path, name)
	info, err := dir.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return listenError(agent.CodeConfiguration, err, anotherPath, "cannot look at %s: %s", path, reason(err))
	}
	stale, err := isStale(info, path, dir.address(name))
	if err != nil || !stale {
		return err
	}
	if err := dir.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return listenError(agent.CodeConfiguration, err, anotherPath, "cannot replace the stale socket %s: %s", path, reason(err))
	}
	return nil
}

// isStale reports whether what is at path is a socket on which nobody listens: nobody who
// is reached by address. Its error says what else is there.
func isStale(info fs.FileInfo, path, address string) (bool, error) {
	switch {
	case info.IsDir():
		return false, listenError(agent.CodeConfiguration, nil, "name a path in it, such as "+filepath.Join(path, "agent.sock"),
			"%s is there and is not a socket but a folder", path)
	case info.Mode().Type() != fs.ModeSocket:
		return false, listenError(agent.CodeConfiguration, nil, "move it away, or "+anotherPath, "%s is there and is not a socket", path)
	}
	c, err := net.Dial("unix", address)
	switch {
	case err == nil:
		defer c.Close()
		return false, held(path, c)
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return false, listenError(agent.CodeUnavailable, err, anotherPath, "cannot tell whether an agent answers on %s: %s", path, reason(err))
	}
	return true, nil
}

// reason is the last part of an error's text: "permission denied".
func reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return sanitize.OneLine(err.Error())
}
