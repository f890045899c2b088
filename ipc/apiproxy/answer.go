package apiproxy

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// headDelay is how long the head of a small answer waits for the body: mostly they then go in one
// piece.
const headDelay = 5 * time.Millisecond

// A stallTimeoutAnswer is closed when the API sends nothing for StallTimeout while the client
// waits.
type stallTimeoutAnswer struct {
	io.ReadCloser
	// flush sends the client what was read, before it has to wait for more. It is nil if each
	// piece is sent at once.
	flush func() error
	left  int64 // of a small answer, whose length is known
	begun bool  // some of it was read

	mu      sync.Mutex
	since   time.Time   // when the Read began that waits; zero if none does
	timer   *time.Timer // calls look; nil before the first Read
	expired bool
}

// Read sets one timer, which most answers stop before it fires.
func (a *stallTimeoutAnswer) Read(p []byte) (int, error) {
	if a.begun && a.left > 0 {
		if err := a.flush(); err != nil {
			return 0, err
		}
	}
	a.begin()
	n, err := a.ReadCloser.Read(p)
	a.end()
	a.begun = a.begun || n > 0
	a.left -= int64(n)
	return n, err
}

func (a *stallTimeoutAnswer) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = time.Now()
	if a.timer == nil {
		a.timer = time.AfterFunc(headDelay, a.look)
	} else {
		a.timer.Reset(headDelay)
	}
}

func (a *stallTimeoutAnswer) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = time.Time{}
	a.timer.Stop()
}

// look sends the client what there is while a Read waits, and ends the Read after StallTimeout.
func (a *stallTimeoutAnswer) look() {
	a.mu.Lock()
	left := StallTimeout - time.Since(a.since)
	switch {
	case a.since.IsZero(): // it has ended meanwhile
	case left <= 0:
		a.expired = true
	default:
		if a.flush != nil {
			_ = a.flush() // the head, too
		}
		a.timer.Reset(left)
	}
	expired := a.expired
	a.mu.Unlock()
	if expired {
		_ = a.ReadCloser.Close() // ends the Read
	}
}

// sendRest sends the client what is left of a small answer. net/http does so when the handler has
// returned, and the client need not wait for what is counted and logged before that.
func (a *stallTimeoutAnswer) sendRest() {
	if a != nil && a.flush != nil {
		_ = a.flush() // a client that is gone needs no answer
	}
}

// stalled reports whether the API stood still.
func (a *stallTimeoutAnswer) stalled() bool {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.expired
}

// isSmall reports whether an answer is passed on as its stallTimeoutAnswer says, mostly in one
// piece. Each piece of any other is sent at once.
func isSmall(res *http.Response) bool {
	return 0 <= res.ContentLength && res.ContentLength <= copyBuffer && !isStream(res.Header)
}

// streams are the media types of answers whose server may have nothing to say for long.
var streams = []string{
	"text/event-stream", "application/x-ndjson", "application/jsonl", "application/json-seq", "multipart/x-mixed-replace",
}

func isStream(h http.Header) bool {
	value := h.Get("Content-Type")
	alone, _, _ := strings.Cut(value, ";")
	if !slices.ContainsFunc(streams, func(s string) bool { return strings.EqualFold(s, strings.TrimSpace(alone)) }) {
		return false // most are not, and need not be parsed
	}
	media, _, err := mime.ParseMediaType(value)
	return err == nil && slices.Contains(streams, media)
}
