package ipc

import (
	"context"
	"net"
	"syscall"
)

// A peer is the process at the other end of a socket: the one that connected or,
// seen by a client, the one that called listen(2), which under socket activation
// is systemd.
type peer struct {
	uid int
	pid int // 0 when the system does not tell
}

type peerKey struct{}

// withPeer puts the peer in a connection's context.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if p, err := peerOf(c); err == nil {
		return context.WithValue(ctx, peerKey{}, p)
	}
	return ctx
}

// peerOf asks the kernel who is at the other end of c.
func peerOf(c net.Conn) (peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return peer{}, syscall.ENOTSOCK
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var p peer
	var credErr error
	if err := raw.Control(func(fd uintptr) { p, credErr = peerOfSocket(int(fd)) }); err != nil {
		return peer{}, err
	}
	return p, credErr
}
