// Package discard throws away the body of an HTTP message that nobody needs: [Body] that of a
// response, such as a 401 before the request is sent again, and [Request] that of a request
// which is refused.
package discard

import (
	"io"
	"net/http"
	"time"
)

const (
	maxBody    = 64 << 10
	maxRequest = 256 << 10 // as net/http on a connection that is kept
	limit      = time.Second
)

// Body reads body to its end, so that its connection can be used again, and closes it. It
// reads no more than 64 KiB and for no longer than a second: another connection costs less
// than a server that is slow, or stands still. Close has to end a Read, as that of net/http
// does.
func Body(body io.ReadCloser) {
	slow := time.AfterFunc(limit, func() { _ = body.Close() })
	_, _ = io.CopyN(io.Discard, body, maxBody)
	if slow.Stop() {
		_ = body.Close()
	}
}

// Request reads what is left of the body of r, up to 256 KiB and for up to a second, before a
// server answers that it refuses r. It is for a client that has said Connection: close: net/http
// closes such a connection at once, and a client that is still writing its body gets an error
// for that and may never read the answer, as Go's does not. Where the connection is kept,
// net/http reads the body, and nothing else may, lest a piece of it be taken for a request. A
// client that has said Expect: 100-continue does not write before it is told to.
func Request(w http.ResponseWriter, r *http.Request) {
	if !r.Close || r.ContentLength == 0 || r.Header.Get("Expect") != "" {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
	_, _ = io.CopyN(io.Discard, r.Body, maxRequest)
}
