package socket

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"time"
)

// A binding is a socket that was bound to a Listener's path. Its file may have been removed
// since; clients that have the file mounted elsewhere still reach it.
type binding struct {
	unix *net.UnixListener
	pid  int // the process that clients see: the one that called listen(2)
	// What this process made, and the folder in which it did; nil if it did not.
	file fs.FileInfo
	root *os.Root
	name string
}

// remove removes the file, if it is still the one that this process made.
func (b *binding) remove() {
	if b.file != nil {
		removeIfSame(b.root, b.name, b.file)
	}
}

func (b *binding) close() error {
	if b.root != nil {
		_ = b.root.Close()
	}
	return b.unix.Close()
}

// An accepted is the result of one accept(2).
type accepted struct {
	conn *net.UnixConn
	err  error
}

// acceptAlone returns the next connection of the one binding. The error is [net.ErrClosed] if
// there are several, and once l is closed. A goroutine that handed connections over would cost
// each of them a switch to another one.
func (l *Listener) acceptAlone() (*net.UnixConn, error) {
	b := l.alone.Load()
	if b == nil {
		return nil, net.ErrClosed
	}
	c, err := b.unix.AcceptUnix()
	if errors.Is(err, os.ErrDeadlineExceeded) { // of shareLocked
		err = net.ErrClosed
	}
	return c, err
}

// shareLocked has AcceptAny read the channel from now on.
func (l *Listener) shareLocked() {
	if b := l.alone.Swap(nil); b != nil {
		_ = b.unix.SetDeadline(time.Unix(1, 0)) // ends an Accept
	}
}

// acceptShared returns the next connection of any binding, or of dialPast.
func (l *Listener) acceptShared() (*net.UnixConn, error) {
	l.begin.Do(l.acceptFromAll)
	a, ok := <-l.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return a.conn, a.err
}

// acceptFromAll begins to accept connections.
func (l *Listener) acceptFromAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
	for _, b := range l.bindings {
		_ = b.unix.SetDeadline(time.Time{})
		l.acceptFromLocked(b)
	}
}

func (l *Listener) acceptFromLocked(b *binding) {
	if l.open && !l.closed {
		l.running.Go(func() { l.acceptFrom(b) })
	}
}

// acceptFrom hands over one connection after the other. The next ones wait in the kernel,
// where the next agent finds them if this one ends and systemd keeps the socket.
func (l *Listener) acceptFrom(b *binding) {
	for {
		c, err := b.unix.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		l.handOver(context.Background(), accepted{c, err})
	}
}

// abandonedAfter is how long a connection waits for AcceptAny after Close. The caller may
// have stopped calling it.
const abandonedAfter = 2 * time.Second

// handOver waits until AcceptAny takes a. It reports whether it did.
func (l *Listener) handOver(ctx context.Context, a accepted) bool {
	closing := l.closing
	var abandoned <-chan time.Time
	for {
		select {
		case l.accepted <- a:
			return true
		case <-closing:
			closing, abandoned = nil, time.After(abandonedAfter)
			continue
		case <-abandoned:
		case <-ctx.Done():
		}
		if a.conn != nil {
			_ = a.conn.Close()
		}
		return false
	}
}

// addLocked makes b the binding at the path. Only so many older ones are kept open, and
// always the one of the service manager.
func (l *Listener) addLocked(b *binding) {
	const most = 4
	l.bindings, l.seen = append(l.bindings, b), b.file
	if len(l.bindings) == 1 {
		l.alone.Store(b)
	} else {
		l.shareLocked()
	}
	if len(l.bindings) > most {
		_ = l.bindings[1].close()
		l.bindings = append(l.bindings[:1], l.bindings[2:]...)
	}
	l.acceptFromLocked(b)
}

// inherit returns a Listener on a socket that the service manager made.
func inherit(ln *net.UnixListener) *Listener {
	path := ln.Addr().String()
	l := newListener(path, path+".lock")
	b := &binding{unix: ln, pid: os.Getpid()}
	if p, err := peerOf(ln); err == nil { // of a listening socket: the process that called listen(2)
		b.pid = p.PID
	}
	l.systemd = b
	l.addLocked(b)
	l.receiveLocked() // it may have been removed and made again
	return l
}
