package apiproxy

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

// A stallTimeoutBody fails a Read when the client sends nothing for StallTimeout. All
// methods but Read and Close may be called on nil, which stands for a body that is not
// streamed.
type stallTimeoutBody struct {
	io.ReadCloser
	control *http.ResponseController
	client  context.Context // ends with the client's connection
	reading sync.Mutex      // held by a Read

	mu     sync.Mutex
	end    error // what Read returns from now on, if it is not nil
	failed bool  // the client did not send all of it
	gaveUp bool  // the API was gone, and the client was not
}

var errNotRead = errors.New("the rest of the body is not read")

func (b *stallTimeoutBody) Read(p []byte) (int, error) {
	if err := b.extendDeadline(); err != nil {
		return 0, err
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = err != io.EOF && !b.gaveUp
	if b.end == nil {
		b.end = err
	}
	return n, b.end
}

// extendDeadline sets the deadline for the next piece; net/http lifts it at the end of the
// body.
func (b *stallTimeoutBody) extendDeadline() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		_ = b.control.SetReadDeadline(time.Now().Add(StallTimeout))
	}
	return b.end
}

// giveUp ends a Read that is waiting for the client. net/http then ends the client's
// connection.
func (b *stallTimeoutBody) giveUp() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end, b.gaveUp = errNotRead, b.client.Err() == nil
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
}

// finish leaves the client's connection to the server, which keeps it if the body had
// been read to its end when the answer began.
func (b *stallTimeoutBody) finish() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end = errNotRead
	}
}

// failure returns why the body was not read to its end: the client did not send all of it,
// or the API was gone.
func (b *stallTimeoutBody) failure() (failed, gaveUp bool) {
	if b == nil {
		return false, false
	}
	if b.client.Err() != nil {
		// net/http ends the client's context before the Read that failed returns.
		b.reading.Lock()
		defer b.reading.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed, b.gaveUp
}

// closeUnlessRead makes the answer with header h the last one on its connection, unless
// the body was read to its end. Otherwise net/http would execute what is left of the body
// as requests to the agent: in full duplex it does not look at the body before it writes
// an answer, and a body whose end it cannot find does not make it close the connection.
func (b *stallTimeoutBody) closeUnlessRead(h http.Header) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != io.EOF {
		h.Set("Connection", "close")
	}
}

// traceConn returns r as a request that stores its body in the connection to the API on
// which it is sent. Close of that connection then gives the body up.
func (b *stallTimeoutBody) traceConn(r *http.Request) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		c := i.Conn
		if t, ok := c.(*tls.Conn); ok {
			c = t.NetConn()
		}
		if c, ok := c.(*stallTimeoutConn); ok {
			c.body.Store(b)
		}
	}}))
}
