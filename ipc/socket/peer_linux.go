package socket

import (
	"bytes"
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

// programOf returns the path of the program that a process runs, or "". Linux tells it of no
// process whose memory is closed to this one, as that of an installed kyc-agentd is. Then it
// is the name of the process and the program of its parent, without numbers: the log counts
// failures by it.
func programOf(pid int) string {
	if path := exeOf(pid); path != "" {
		return path
	}
	name, parent := statOf(pid)
	of := exeOf(parent)
	if of == "" {
		of, _ = statOf(parent)
	}
	if name == "" || of == "" {
		return name
	}
	return name + ", child of " + of
}

func exeOf(pid int) string {
	path, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return path
}

// statOf returns the name of a process and the number of its parent: PID (NAME) STATE PPID …,
// and NAME may have parentheses and blanks in it (proc_pid_stat(5)).
func statOf(pid int) (name string, parent int) {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	start, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if start < 0 || end < start {
		return "", 0
	}
	if rest := bytes.Fields(text[end+1:]); len(rest) > 1 {
		parent, _ = strconv.Atoi(string(rest[1]))
	}
	return string(text[start+1 : end]), parent
}
