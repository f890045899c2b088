package ipc

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxRefusals bounds the foreign peers that are being told at one time why they
	// are refused; any more are dropped without a word.
	maxRefusals    = 8
	refusalTimeout = time.Second
)

// A listener accepts the connections of one user.
type listener struct {
	*net.UnixListener
	uid      int
	log      atomic.Pointer[slog.Logger]
	teller   atomic.Pointer[teller] // nil before there is a Server
	refusals chan struct{}          // holds one value per refusal going on
	release  func()                 // undoes what Listen did, before the socket closes

	close    sync.Once
	closeErr error
}

func newListener(ln *net.UnixListener, release func()) *listener {
	l := &listener{UnixListener: ln, uid: os.Getuid(), refusals: make(chan struct{}, maxRefusals), release: release}
	l.logTo(discard)
	return l
}

func (l *listener) logTo(log *slog.Logger) { l.log.Store(log) }

// Accept returns the next connection of this user. Those of other users it refuses,
// and to service managers that want a unit's credential it gives just that: this
// user's and, for system units, root's.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p, err := peerOf(c)
		q, asks := credentialAskOf(c.RemoteAddr())
		switch {
		case err != nil:
			l.log.Load().Warn("dropped a peer that the kernel does not name", "error", err)
			_ = c.Close()
		case asks && (p.uid == l.uid || p.uid == 0):
			l.tell(c, q)
		case p.uid != l.uid:
			l.log.Load().Warn("refused a process of another user", "uid", p.uid, "pid", p.pid)
			l.refuse(c, p)
		default:
			return c, nil
		}
	}
}

func (l *listener) tell(c *net.UnixConn, q credentialAsk) {
	if t := l.teller.Load(); t != nil {
		t.take(c, q)
		return
	}
	_ = c.Close()
}

// refuse tells a foreign peer why, without making anybody wait for it.
func (l *listener) refuse(c *net.UnixConn, p peer) {
	select {
	case l.refusals <- struct{}{}:
		go func() {
			defer func() { <-l.refusals }()
			sayNo(c, l.uid, p.uid)
		}()
	default:
		_ = c.Close()
	}
}

// sayNo answers a request that it has not read. It reads what comes all the same,
// for a socket closed with data unread gives the peer ECONNRESET.
func sayNo(c *net.UnixConn, owner, uid int) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(refusalTimeout))
	line := fmt.Sprintf("this agent belongs to uid %d, you are uid %d\n", owner, uid)
	_, _ = fmt.Fprintf(c, "HTTP/1.1 403 Forbidden\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", mediaText, len(line), line)
	_ = c.CloseWrite()
	_, _ = io.CopyN(io.Discard, c, maxBody)
}

// Close stops listening. What Listen made goes first, so that nobody finds a
// socket that nobody answers.
func (l *listener) Close() error {
	l.close.Do(func() {
		l.release()
		l.closeErr = l.UnixListener.Close()
	})
	return l.closeErr
}
