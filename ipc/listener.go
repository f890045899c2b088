package ipc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// An anyListener is a *[socket.Listener].
type anyListener interface {
	net.Listener
	AcceptAny() (*socket.Conn, error)
}

// A peerListener decides by the process that connects. It accepts those of the socket's
// owner, for HTTP. A service manager that asks for a unit's credential gets only that:
// the owner's and, for system units, root's.
type peerListener struct {
	anyListener
	log   *slog.Logger
	limit *logLimit
	units *unitCredentialServer
	audit auditor
}

func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptAny()
		if err != nil {
			return nil, err
		}
		request, isUnit := unitRequestOf(c.RemoteAddr())
		switch {
		case isUnit && (c.FromOwner() || c.Peer.UID == 0):
			l.units.serve(c.UnixConn, request)
		case c.FromOwner():
			return newClientConn(c)
		case c.PeerErr != nil:
			level := l.limit.level(slog.LevelWarn, logKey{op: "peer"})
			l.log.Log(context.Background(), level, "dropped a peer that the kernel does not name", "error", c.PeerErr)
			c.Refuse()
		default:
			level := l.limit.level(slog.LevelWarn, logKey{op: "peer", from: strconv.Itoa(c.Peer.UID)})
			l.log.Log(context.Background(), level, "refused a process of another user", "uid", c.Peer.UID, "pid", c.Peer.PID)
			l.audit.foreign(c.Peer)
			c.Refuse()
		}
	}
}

// A retryListener tries again after an Accept that failed for a transient reason. net/http
// does this for EMFILE, ENFILE, ECONNABORTED and EINTR, but ends at ENOBUFS and ENOMEM,
// logs a line without fields, and sleeps on after its context has ended.
type retryListener struct {
	net.Listener
	ctx   context.Context
	log   *slog.Logger
	limit *logLimit
}

func (l *retryListener) Accept() (net.Conn, error) {
	const first, most = 5 * time.Millisecond, time.Second
	for pause := first; ; pause = min(2*pause, most) {
		c, err := l.Listener.Accept()
		if err == nil || !isTransient(err) {
			return c, err
		}
		level := l.limit.level(slog.LevelWarn, logKey{op: "accept", cause: err.Error()})
		l.log.Log(l.ctx, level, "cannot accept a connection; trying again", "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.ctx.Done():
			timer.Stop()
			return nil, net.ErrClosed
		}
	}
}

func isTransient(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
