//go:build unix

package file

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/handover"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

const (
	hasModes = true
	nonblock = unix.O_NONBLOCK
)

func checkOwner(info fs.FileInfo, path string) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if uid := os.Geteuid(); int(st.Uid) != uid {
		return refuse("%s belongs to user id %d, and yours is %d; run: sudo chown -R %d %s", path, st.Uid, uid, uid, shellquote.Quote(path))
	}
	return nil
}

// lockFolder locks the folder against a second daemon: two of them would overwrite
// each other's refresh tokens. The kernel releases an flock when its process dies, so
// no lock is ever stale; the process id in the file is only for the error message.
//
// An earlier image of this process may have handed on the lock, which is that of this folder
// unless the folder was replaced meanwhile.
func lockFolder(root *os.Root, dir string) (*os.File, error) {
	if f := handover.Take(handedLock(dir)); f != nil {
		handed, err := f.Stat()
		if now, nowErr := root.Lstat(lockName); err == nil && nowErr == nil && os.SameFile(handed, now) {
			writePID(f)
			return f, nil
		}
		_ = f.Close()
	}
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain(err, "write to", dir)
	}
	if err = flock(f); err == nil {
		writePID(f)
		return f, nil
	}
	defer f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, inUse(f, dir)
	}
	return nil, explain(err, "lock", dir)
}

// writePID reports no error, such as a full disk: the lock works without the id.
func writePID(f *os.File) {
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
}

// releasedWithin is how long a lock may outlive its process on a busy machine. A child that the
// process was just starting when it was killed has the lock, too, until it executes its program.
const releasedWithin = time.Second

// flock locks f. It waits for a lock that no agent is known to have.
func flock(f *os.File) error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Since(began) > releasedWithin || agentThatHas(f) != 0 {
			return err
		}
	}
}

// agentThatHas returns the id of the agent that has locked f. It is 0 unless that is surely the
// process to stop: in another PID namespace, such as a container with the same home, the id that
// is written to f is another's.
func agentThatHas(f *os.File) (pid int) {
	text := make([]byte, 32)
	n, _ := f.ReadAt(text, 0)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text[:n])))
	if err != nil || pid <= 0 || !isOwnAgent(pid) {
		return 0
	}
	return pid
}

func inUse(f *os.File, dir string) error {
	pid := agentThatHas(f)
	if pid == 0 {
		return refuse("%s is in use by another kyc-agentd, maybe in a container with the same home; stop that one first", dir)
	}
	return refuse("%s is in use by another kyc-agentd (pid %d); stop it first: kill %d", dir, pid, pid)
}

func unlockFolder(f *os.File) error {
	_ = f.Truncate(0)
	return f.Close()
}

// isFull reports whether err is a full disk, a full quota or a file size limit.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// inTheWay reports whether err says that something else is where a file or folder belongs.
func inTheWay(err error) bool {
	return errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST)
}
