package main

import (
	"strconv"
	"strings"
	"syscall"
)

// newSocket makes a Unix stream socket that no child inherits.
func newSocket() (int, error) {
	return syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
}

// peerUID returns the user id of the process that called listen on the socket.
func (c conn) peerUID() (int, error) {
	cred, err := syscall.GetsockoptUcred(c.fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// foreignProgram returns the name of the program that listens on the socket, if it is
// certainly not the agent.
func (c conn) foreignProgram() string {
	cred, err := syscall.GetsockoptUcred(c.fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil || cred.Pid <= 0 {
		return ""
	}
	fd, err := syscall.Open("/proc/"+strconv.Itoa(int(cred.Pid))+"/comm", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = syscall.Close(fd) }()
	var comm [32]byte
	n, _ := syscall.Read(fd, comm[:])
	name := strings.TrimSuffix(string(comm[:max(n, 0)]), "\n")
	if isTransport(name) {
		return ""
	}
	return name
}

// isTransport reports whether a program called name may be at a socket of the agent: the
// agent, the service manager that listens for it, or a program that passes connections on.
func isTransport(name string) bool {
	switch name {
	case "", "systemd", "ssh", "sshd", "sshd-session", "socat":
		return true
	}
	return strings.HasPrefix(name, "kyc-")
}
