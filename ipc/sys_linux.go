package ipc

import (
	"os"
	"strconv"
	"syscall"
)

// MaxSocketPath is the longest path of a socket, in bytes: what sun_path holds beside
// its terminating zero (unix(7)).
const MaxSocketPath = 107

func peerOfSocket(fd int) (peer, error) {
	cred, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return peer{}, err
	}
	return peer{uid: int(cred.Uid), pid: int(cred.Pid)}, nil
}

// tighten makes the socket file that a later bind(2) creates 0600 from its first
// instant: Linux takes the mode from the socket's own inode. A umask would do it
// too, for the whole process.
func tighten(fd int) error { return syscall.Fchmod(fd, 0o600) }

// programOf is the path of the program that a process runs, or empty.
func programOf(pid int) string {
	path, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return path
}
