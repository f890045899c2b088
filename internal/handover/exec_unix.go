//go:build unix

package handover

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// duplicate returns a copy of c's descriptor that execve(2) would close. (*os.File).Fd is not
// used, because it makes the open file blocking, which a listener shares.
func duplicate(c syscall.Conn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd int
	var dupErr error
	if err := raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return 0, err
	}
	return fd, dupErr
}

func closeFD(fd int) { _ = unix.Close(fd) }

func closeOnExec(fd int) { unix.CloseOnExec(fd) }

// replace executes program with the descriptors fds open. The lock keeps another goroutine from
// starting a child process that would inherit them.
func replace(program string, args, env []string, fds []int) error {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	defer func() {
		for _, fd := range fds {
			closeOnExec(fd)
		}
	}()
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	return syscall.Exec(program, args, env)
}
