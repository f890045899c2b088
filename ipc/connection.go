package ipc

import (
	"context"
	"net"
	"net/http"

	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A connection is what the requests of one connection share. They come one after the other,
// in one goroutine.
type connection struct {
	peer      socket.Peer // zero if the kernel does not say
	forwarded bool        // one of them was forwarded to an API
}

type connectionKey struct{}

// withConnection puts a new connection, with the process that connected, into the context of
// the requests on c.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	shared := &connection{}
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
