package terminal

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stopSelf gives s, a signal that stops, its usual effect on this process, and returns when
// the process runs again. Go's handler would swallow it, and Go has no call that removes the
// handler, so the kernel is asked to. All zero is SIG_DFL in the kernel's struct sigaction,
// whatever its layout is. The kernel delivers a signal of a thread to itself at once, so that
// nothing else happens before the stop.
func stopSelf(s syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var usual, before [32]uintptr
	if sigaction(s, &usual, &before) != 0 {
		return
	}
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), s)
	sigaction(s, &before, nil)
}

func sigaction(s syscall.Signal, action, old *[32]uintptr) unix.Errno {
	const sizeOfMask = 8
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(old)), sizeOfMask, 0, 0)
	return errno
}
