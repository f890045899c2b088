package roots

import "syscall"

// ownMounts gives a process a mount namespace of its own: everything that it mounts goes
// away with it.
func ownMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
}
