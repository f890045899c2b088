package socket

import (
	"os"
	"strconv"
	"syscall"
)

// MaxPath is the longest path of a socket, in bytes: what sun_path holds besides
// its terminating zero (unix(7)).
const MaxPath = 107

func peerOfSocket(fd int) (Peer, error) {
	cred, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	return Peer{UID: int(cred.Uid), PID: int(cred.Pid)}, nil
}

// restrictMode makes the file that a later bind(2) creates 0600 from the start: Linux
// takes the mode from the socket's inode. A umask would have the same effect, but on the
// whole process.
func restrictMode(fd int) error { return syscall.Fchmod(fd, 0o600) }

// programOf returns the path of the program that a process runs, or "".
func programOf(pid int) string {
	path, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return path
}
