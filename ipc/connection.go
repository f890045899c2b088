package ipc

import (
	"context"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/internal/lazycontext"
	"github.com/legaltalent/kyc-agent/internal/lazydeadline"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A connection is what the requests of one connection share. They come one after the other,
// in one goroutine.
type connection struct {
	audit auditedPeer

	conn      net.Conn
	peer      socket.Peer // zero if the kernel does not say
	forwarded bool        // one of them was forwarded to an API
	client    *peer.Peer  // what can be known of the peer; nil on a listener of a test
	grant     string      // the approval by which the newest request got something

	// Of the request that is being answered: made once a connection, for one after the other.
	request   request
	confirmed confirmedService
	deadline  lazycontext.Deadline
}

// newRequest returns a request on c. It is valid until the next one.
func (c *connection) newRequest(r *http.Request, started time.Time) *request {
	if c == nil {
		return &request{http: r, started: started}
	}
	req := &c.request
	req.http, req.conn, req.started = r, c, started
	return req
}

// until returns a context of the server's, as [handler.withTimeout] does. It is valid until the next
// request.
func (c *connection) until(serving context.Context, at time.Time) *lazycontext.Deadline {
	if c == nil {
		return lazycontext.Until(serving, at)
	}
	return c.deadline.Again(serving, at)
}

type connectionKey struct{}

// A clientConn is a connection, and the process that made it.
type clientConn struct {
	lazydeadline.Conn
	shared connection
	live   bool // see liveConns, whose mutex guards it
}

// newClientConn returns the connection of a process that may connect.
func newClientConn(c *socket.Conn) (*clientConn, error) {
	own := &clientConn{}
	own.shared = connection{conn: own, client: peer.OfCredentials(c.UnixConn, c.Peer.UID, c.Peer.PID), peer: c.Peer}
	return own, own.Init(c.UnixConn)
}

// Close also forgets the process.
func (c *clientConn) Close() error {
	c.shared.client.Close()
	return c.Conn.Close()
}

// withConnection puts a new connection, with the process that connected, into the context of
// the requests on c.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if admitted, ok := c.(*clientConn); ok { // the kernel was asked already
		return context.WithValue(ctx, connectionKey{}, &admitted.shared)
	}
	shared := &connection{conn: c}
	if p, err := socket.PeerOf(c); err == nil {
		shared.peer = p
	}
	return context.WithValue(ctx, connectionKey{}, shared)
}

// connectionOf returns the connection that r came on. A request of a test may have none.
func connectionOf(r *http.Request) (*connection, bool) {
	c, ok := r.Context().Value(connectionKey{}).(*connection)
	return c, ok
}

// peerOf returns the process that sent r, or the zero Peer if it is not known.
func peerOf(r *http.Request) socket.Peer {
	if c, ok := connectionOf(r); ok {
		return c.peer
	}
	return socket.Peer{}
}

// hungUp reports whether the client of r has closed its connection. net/http notices that by
// itself once it has read the body of a request, but not before.
func hungUp(r *http.Request) bool {
	c, ok := connectionOf(r)
	if !ok {
		return false
	}
	raw, ok := c.conn.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return true // it is closed on this side
	}
	gone := false
	err = rc.Control(func(fd uintptr) {
		// POLLHUP needs no request. A client that has only closed its sending half has not
		// hung up.
		poll := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(poll, 0)
		gone = err == nil && n > 0 && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}
