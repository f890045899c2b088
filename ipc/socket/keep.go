package socket

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// keepEvery is how often Keep looks at the path. A look is one lstat(2). inotify(7) would
// not see that a folder further up was replaced, or that its file system was unmounted.
const keepEvery = 2 * time.Second

// A Watcher is told by [Listener.Keep] what happened to the path.
type Watcher struct {
	// Rebound is called when the socket was removed and has been made again. systemd tells
	// whether the service manager had made the one that was removed: it does not know.
	Rebound func(systemd bool)
	// Lost is called when the socket was removed and cannot be made again; once for each
	// reason. The error says what is in the way.
	Lost func(error)
}

// Keep looks at the socket's path until ctx ends. If the path is gone, or names something
// else, Keep makes the socket and its folder again. It does not replace a socket on which
// another process answers, or a file of another kind; it waits until that is gone. The
// Listener goes on accepting on the sockets that it had: a container may have them mounted.
func (l *Listener) Keep(ctx context.Context, w Watcher) {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	said := ""
	for {
		rebound, err := l.restore()
		switch {
		case err == nil:
			said = ""
			if rebound {
				w.Rebound(l.inherited())
			}
		case err.Error() != said:
			said = err.Error()
			w.Lost(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// inherited reports whether the service manager made the first socket.
func (l *Listener) inherited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bindings[0].pid != os.Getpid()
}

// restore makes the socket again if a client that connects to the path does not reach l.
func (l *Listener) restore() (rebound bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, nil
	}
	now, err := os.Lstat(l.path)
	if err == nil && sameSocket(now, l.seen) {
		return false, nil
	}
	if err == nil && l.answersLocked() {
		l.seen = now
		return false, nil
	}
	if err := l.bindLocked(); err != nil {
		return false, err
	}
	return true, nil
}

// sameSocket also compares times, because a file system may give the number of a file that
// was removed to the next one.
func sameSocket(a, b fs.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}

// answersLocked reports whether a client that connects to the path reaches l.
func (l *Listener) answersLocked() bool {
	c, err := net.Dial("unix", l.path)
	if err != nil {
		return errors.Is(err, syscall.EAGAIN) // its backlog is full, so somebody listens
	}
	defer c.Close()
	return l.isLocked(c)
}

// isLocked reports whether l is at the other end of c.
func (l *Listener) isLocked(c net.Conn) bool {
	p, err := PeerOf(c)
	if err != nil {
		return false
	}
	for _, b := range l.bindings {
		if b.pid == p.PID {
			return true
		}
	}
	return false
}

// Dial connects to l: by the path, as every client does, or past it, if the path does not
// lead to l. So a process can ask whether it answers while no client can reach it.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	if c, err := new(net.Dialer).DialContext(ctx, "unix", l.path); err == nil {
		l.mu.Lock()
		reached := l.isLocked(c)
		l.mu.Unlock()
		if reached {
			return c, nil
		}
		_ = c.Close()
	}
	return l.dialPast(ctx)
}

// dialPast gives AcceptAny one end of a new pair of sockets and returns the other one.
func (l *Listener) dialPast(ctx context.Context) (net.Conn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		_, _ = ours.Close(), theirs.Close()
		return nil, net.ErrClosed
	}
	l.shareLocked()
	l.running.Add(1) // so that the channel stays open
	l.mu.Unlock()
	defer l.running.Done()
	if !l.handOver(ctx, accepted{theirs, nil}) {
		_ = ours.Close()
		return nil, ctx.Err()
	}
	return ours, nil
}

func socketPair() (ours, theirs *net.UnixConn, err error) {
	syscall.ForkLock.RLock() // macOS cannot make them close-on-exec in one call
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, err = connOf(fds[0])
	theirs, theirErr := connOf(fds[1])
	return ours, theirs, errors.Join(err, theirErr)
}

func connOf(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // net.FileConn duplicates the descriptor
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}
