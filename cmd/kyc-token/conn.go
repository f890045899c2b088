package main

import (
	"io"
	"os"
	"syscall"
	"time"
)

// A conn is a blocking Unix socket with one deadline for all its calls. They return
// system error numbers; EAGAIN means that the deadline has passed.
//
// Every call is retried after EINTR: the Go runtime preempts goroutines by signals,
// which interrupt blocking system calls on a socket with a timeout.
type conn struct {
	fd       int
	deadline time.Time
	sending  time.Duration // the kernel's timeouts; 0 before they are set
	reading  time.Duration
}

// dial connects to path. It waits while the agent's backlog is full.
func dial(path string, deadline time.Time) (conn, error) {
	fd, err := newSocket()
	if err != nil {
		return conn{}, os.NewSyscallError("socket", err)
	}
	c := conn{fd: fd, deadline: deadline}
	err = c.within(syscall.SO_SNDTIMEO, &c.sending, func() error {
		return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	})
	if err != nil && err != syscall.EISCONN { // EISCONN: connected before it was interrupted
		c.close()
		return conn{}, err
	}
	return c, nil
}

// write sends all of s.
func (c *conn) write(s string) error {
	for len(s) > 0 {
		var n int
		err := c.within(syscall.SO_SNDTIMEO, &c.sending, func() (err error) {
			n, err = syscall.Write(c.fd, bytesOf(s))
			return err
		})
		if err != nil {
			return err
		}
		s = s[n:]
	}
	return nil
}

// read waits until there is at least one byte to read. io.EOF means that the agent has
// closed the connection.
func (c *conn) read(p []byte) (n int, err error) {
	err = c.within(syscall.SO_RCVTIMEO, &c.reading, func() (err error) {
		n, err = syscall.Read(c.fd, p)
		return err
	})
	if err == nil && n == 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

// within calls f with the kernel's timeout opt set to the time until the deadline, or to at most
// 10 ms more, where *set says that it is: each setting is a system call.
func (c *conn) within(opt int, set *time.Duration, f func() error) error {
	for {
		left := time.Until(c.deadline)
		if left < time.Microsecond { // to the kernel a timeout of 0 means none
			return syscall.EAGAIN
		}
		if *set == 0 || *set-left > 10*time.Millisecond {
			tv := syscall.NsecToTimeval(left.Nanoseconds())
			if err := syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, opt, &tv); err != nil {
				return err
			}
			*set = left
		}
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}

func (c conn) close() { _ = syscall.Close(c.fd) }
