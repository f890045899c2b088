package ipc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// A patientBody gives a client stallTimeout to send each piece of a body.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
	client  context.Context // ends with the client's connection

	mu     sync.Mutex
	end    error // what there is to read from here on, once there is no more of it
	failed bool  // the client did not send all of it
	gaveUp bool  // the API was gone, and the client was not
}

var errGivenUp = errors.New("nobody takes the rest of the body")

func (b *patientBody) Read(p []byte) (int, error) {
	if err := b.wait(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end, b.failed = err, err != io.EOF
	}
	return n, b.end
}

// wait sets the deadline for the next piece; net/http lifts it at the end of the body.
func (b *patientBody) wait() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		_ = b.control.SetReadDeadline(time.Now().Add(stallTimeout))
	}
	return b.end
}

// giveUp ends a Read that is waiting for the client. To net/http, that is the end of the
// client's connection.
func (b *patientBody) giveUp() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end, b.gaveUp = errGivenUp, b.client.Err() == nil
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
}

// finish leaves the client's connection to the server, which keeps it if the body had
// been read to its end when the answer began.
func (b *patientBody) finish() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end = errGivenUp
	}
}

// ended tells why it was not read to its end: the client did not send all of it, or the
// API was gone.
func (b *patientBody) ended() (failed, gaveUp bool) {
	if b == nil {
		return false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed, b.gaveUp
}

// closeUnlessRead makes the answer with header h the last one on its connection, unless
// the body was read to its end. Otherwise net/http would execute what is left of the body
// as requests to the agent: in full duplex it does not look at the body before it writes
// an answer, and a body whose end it cannot find does not make it close the connection.
func (b *patientBody) closeUnlessRead(h http.Header) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != io.EOF {
		h.Set("Connection", "close")
	}
}

// sentOn returns r as a request that tells the connection to the API of its body.
func (b *patientBody) sentOn(r *http.Request) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		c := i.Conn
		if over, ok := c.(*tls.Conn); ok {
			c = over.NetConn()
		}
		if c, ok := c.(*patientConn); ok {
			c.body.Store(b)
		}
	}}))
}
