//go:build unix

package keyring

import (
	"net"
	"os"
	"syscall"
)

// newChannel returns the store's end of a connection to a child, and the child's standard
// input and output. It is a pair of sockets: another process could open a pipe, but no
// socket, through /proc/PID/fd of a child that has not protected itself yet.
func newChannel() (channel, *os.File, *os.File, error) {
	syscall.ForkLock.RLock() // not every system has SOCK_CLOEXEC
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), ""), os.NewFile(uintptr(pair[1]), "")
	defer ours.Close() // FileConn makes a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, theirs, nil
}
