//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package terminal

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// stopSelf stops this process, if a shell that can continue it watches it. Go's handler would
// swallow s itself.
func stopSelf(syscall.Signal) {
	session, err := unix.Getsid(0)
	parent, parentErr := unix.Getsid(unix.Getppid())
	if err == nil && parentErr == nil && parent == session {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	}
}
