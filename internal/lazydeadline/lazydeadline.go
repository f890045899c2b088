// Package lazydeadline sets the deadlines of a connection when a read or a write has to wait:
//
//	var conn lazydeadline.Conn
//	err := conn.Init(unixConn)
//
// net/http sets eight deadlines for each request, each of which moves a timer of the runtime. Most
// requests are there whole when they are read, and what waits for nothing needs no timer: those
// were a twentieth of the time in which a cached token is answered.
package lazydeadline

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A Conn is a connection whose deadlines are those of [net.Conn], but for one thing: a read or a
// write that need not wait does not look whether its deadline has passed.
type Conn struct {
	*net.UnixConn // whose deadlines nothing else may set

	raw         syscall.RawConn
	read, write half
}

// Init makes c the connection u. The error is that of [net.UnixConn.SyscallConn].
func (c *Conn) Init(u *net.UnixConn) (err error) {
	c.UnixConn = u
	c.raw, err = u.SyscallConn()
	c.read.once, c.write.once = c.readOnce, c.writeOnce
	return err
}

// SyscallConn implements [syscall.Conn].
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, waited, called := c.read.run(p, c.raw.Read, c.UnixConn.SetReadDeadline)
	if waited == nil && called == nil && n == 0 {
		return 0, io.EOF
	}
	return n, c.describe("read", waited, called)
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	n, waited, called := c.write.run(p, c.raw.Write, c.UnixConn.SetWriteDeadline)
	return n, c.describe("write", waited, called)
}

// describe returns what a [net.UnixConn] would: waited is the error of the wait, called that of
// the system call.
func (c *Conn) describe(op string, waited, called error) error {
	if of, ok := waited.(*net.OpError); ok { // it says "raw-read", and is nobody else's
		of.Op = op
		return of
	}
	if called == nil {
		return waited
	}
	return &net.OpError{Op: op, Net: "unix", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, called)}
}

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.read.change(t, c.UnixConn.SetReadDeadline)
}

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.write.change(t, c.UnixConn.SetWriteDeadline)
}

// readOnce reads what there is, and reports whether that was anything. It waits if not.
func (c *Conn) readOnce(fd uintptr) bool {
	h := &c.read
	n, err := ignoringEINTR(syscall.Read, fd, h.buf)
	if err == syscall.EAGAIN {
		h.arm(c.UnixConn.SetReadDeadline)
		return false
	}
	h.n, h.err = max(n, 0), err // n is -1 beside an error
	return true
}

// writeOnce writes what fits, and reports whether that was all. It waits if not.
func (c *Conn) writeOnce(fd uintptr) bool {
	h := &c.write
	for h.n < len(h.buf) {
		n, err := ignoringEINTR(syscall.Write, fd, h.buf[h.n:])
		switch err {
		case nil:
			h.n += n
		case syscall.EAGAIN:
			h.arm(c.UnixConn.SetWriteDeadline)
			return false
		default:
			h.err = err
			return true
		}
	}
	return true
}

func ignoringEINTR(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := call(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}
