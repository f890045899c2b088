// Package ipctest has a listener in memory, for tests that use the socket API without a
// socket: in a testing/synctest bubble time advances while a goroutine waits for a
// [net.Pipe], and does not while one waits for a real socket.
//
//	ln := ipctest.Listen()
//	go server.Serve(ctx, ln)
//	client := &ipc.Client{Dial: ln.Dial}
package ipctest

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// A Listener hands the other end of every [Listener.Dial] to Accept.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a new listener.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial returns when Accept has taken the connection. After Close it fails like a socket on
// which no process listens, with ECONNREFUSED.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	var err error
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		err = syscall.ECONNREFUSED
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: l.Addr(), Err: err}
}

// Accept returns the other end of the next Dial, or net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "pipe", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and Dial; connections made before go on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that says no more than "pipe".
func (l *Listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }
