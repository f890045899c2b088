package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bind makes a socket in the folder and nowhere else, whatever the folder's path leads to
// meanwhile. Other programs see the path with which bind(2) was called as the socket's
// address, so that is the real one where the kernel can confine the call.
func (f *folder) bind(name string) (*net.UnixListener, error) {
	ln, err := f.bindConfined(name)
	if errors.Is(err, errNotConfined) {
		return bind(f.address(name))
	}
	return ln, err
}

// address returns a path by which to reach a socket in the folder, wherever the folder is.
// Without /proc it is the path of the folder, and checkBound has to find what went wrong.
func (f *folder) address(name string) string {
	held := fmt.Sprintf("/proc/self/fd/%d", f.file.Fd())
	if info, err := os.Stat(held); err != nil || !f.is(info) {
		held = f.path
	}
	return filepath.Join(held, name)
}

var errNotConfined = errors.New("no Landlock here")

// bindConfined binds the path of the socket in a thread that can make sockets in the folder
// only. The thread ends with it: nobody can leave such a confinement (landlock(7)).
func (f *folder) bindConfined(name string) (ln *net.UnixListener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked, so the thread ends with the goroutine
		if confine(int(f.file.Fd())) != nil {
			err = errNotConfined
			return
		}
		ln, err = bind(filepath.Join(f.path, name))
	}()
	<-done
	return ln, err
}

var confine = confineSockets // a test replaces it

// confineSockets lets the calling thread make sockets in the folder dir only.
func confineSockets(dir int) error {
	// A filter that does not know Landlock's calls may end the process at one of them. That
	// of systemd 252 does, if its unit has no SystemCallErrorNumber=.
	if mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err == nil && mode != 0 {
		return errNotConfined
	}
	rules := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_MAKE_SOCK}
	// The first version of the kernel's struct has Handled_access_fs only.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules.Handled_access_fs), 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(fd))
	here := unix.LandlockPathBeneathAttr{Allowed_access: unix.LANDLOCK_ACCESS_FS_MAKE_SOCK, Parent_fd: int32(dir)}
	if _, _, errno = unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, fd, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&here)), 0, 0, 0); errno != 0 {
		return errno
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
