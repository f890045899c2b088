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

// A stallTimeoutAnswer is closed when the API sends nothing for StallTimeout while the client
// waits.
type stallTimeoutAnswer struct {
	io.ReadCloser
	waits *longWaits
	// flush sends the client what was read. It is called before the client has to wait for more,
	// and is nil if each piece is sent at once.
	flush func() error
	left  int64 // of a small answer, whose length is known
	begun bool  // some of it was read

	mu      sync.Mutex
	since   time.Time   // when the Read began that waits; zero if none does
	timer   *time.Timer // ends a Read that waits for long; nil before there was one
	expired bool
}

func (a *stallTimeoutAnswer) Read(p []byte) (int, error) {
	if a.begun && a.left > 0 {
		if err := a.flush(); err != nil {
			return 0, err
		}
	}
	a.setSince(time.Now())
	a.waits.add(a)
	n, err := a.ReadCloser.Read(p)
	a.waits.remove(a)
	a.setSince(time.Time{})
	a.begun = a.begun || n > 0
	a.left -= int64(n)
	return n, err
}

func (a *stallTimeoutAnswer) setSince(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = t
	if a.timer != nil {
		a.timer.Stop()
	}
}

// waitLong is called when a Read takes longer than most.
func (a *stallTimeoutAnswer) waitLong() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() {
		return // it has ended meanwhile
	}
	if a.flush != nil {
		_ = a.flush() // the head, too
	}
	left := StallTimeout - time.Since(a.since)
	if a.timer == nil {
		a.timer = time.AfterFunc(left, a.expire)
	} else {
		a.timer.Reset(left)
	}
}

// expire ends a Read that has waited for StallTimeout.
func (a *stallTimeoutAnswer) expire() {
	a.mu.Lock()
	a.expired = !a.since.IsZero() && time.Since(a.since) >= StallTimeout
	end := a.expired
	a.mu.Unlock()
	if end {
		_ = a.ReadCloser.Close()
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

// longWaits finds the answers that a Read waits for. Most are there at once: one timer for all
// costs them nothing, while one for each woke a thread to look when the next one is due.
type longWaits struct {
	mu      sync.Mutex
	reading map[*stallTimeoutAnswer]int // how often look has seen the Read
	timer   *time.Timer                 // calls look; nil before the first Read
	ticking bool
	quiet   int // how often look has seen none
}

const (
	// lookInterval is half of the longest time that the head of an answer waits for its body.
	lookInterval = 2500 * time.Microsecond
	// maxQuiet is how often there may be nothing to look for before the timer stops.
	maxQuiet = 8
)

func (w *longWaits) add(a *stallTimeoutAnswer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reading == nil {
		w.reading = map[*stallTimeoutAnswer]int{}
	}
	w.reading[a] = 0
	switch {
	case w.ticking:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(lookInterval, w.look)
	default:
		w.timer.Reset(lookInterval)
	}
	w.ticking, w.quiet = true, 0
}

func (w *longWaits) remove(a *stallTimeoutAnswer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.reading, a)
}

func (w *longWaits) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet++
	for a, seen := range w.reading {
		w.quiet = 0
		if seen == 0 {
			w.reading[a] = 1
			continue
		}
		delete(w.reading, a)
		go a.waitLong() // a client may take its time
	}
	if w.ticking = w.quiet < maxQuiet; w.ticking {
		w.timer.Reset(lookInterval)
	}
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
