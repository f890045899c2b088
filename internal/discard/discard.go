// Package discard throws away the body of an HTTP response that nobody needs, such as that of
// a 401 before the request is sent again: [Body].
package discard

import (
	"io"
	"time"
)

const (
	maxBody = 64 << 10
	limit   = time.Second
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
