package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// newSocket makes a Unix stream socket that no child inherits. macOS needs two calls for
// that, but kyc-token does not fork between them.
func newSocket() (int, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	return fd, err
}

// peerUID returns the user id of the process that called listen on the socket.
func (c conn) peerUID() (int, error) {
	cred, err := unix.GetsockoptXucred(c.fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// foreignProgram would need libproc, and with it cgo.
func (c conn) foreignProgram() string { return "" }
