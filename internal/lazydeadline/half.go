package lazydeadline

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A half is what is read from a connection, or what is written to it. Its methods take the
// connection's function that sets the deadline.
type half struct {
	once func(fd uintptr) bool

	running sync.Mutex // held by the one call that runs, which has the next three
	buf     []byte
	n       int
	err     error

	mu      sync.Mutex
	waiting bool      // the call waits, or is about to
	want    time.Time // the deadline
	inForce time.Time // the one that the connection has
}

type setter func(time.Time) error

// run reads or writes p. wait is that of the connection; waited is its error, and called that of
// the system call.
func (h *half) run(p []byte, wait func(func(uintptr) bool) error, set setter) (n int, waited, called error) {
	h.running.Lock()
	defer h.running.Unlock()
	h.buf, h.n, h.err = p, 0, nil
	h.begin(set)
	waited = wait(h.once)
	for h.end(waited, set) {
		waited = wait(h.once)
	}
	h.buf = nil
	return h.n, waited, h.err
}

// change makes t the deadline. The connection has to know of it if a call waits for longer than
// that, or if the next one is not even to try.
func (h *half) change(t time.Time, set setter) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.want = t
	if longAgo(t) || h.waiting && h.isLateLocked() {
		h.inForce = t
		return set(t)
	}
	return nil
}

// isLateLocked reports whether the deadline in force is later than it should be. One that is
// earlier ends a wait too soon, and end then waits again: that is rare, and changing it is not.
func (h *half) isLateLocked() bool {
	return !h.want.IsZero() && (h.inForce.IsZero() || h.want.Before(h.inForce))
}

// begin lifts a deadline by which net/http has ended a call.
func (h *half) begin(set setter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if longAgo(h.inForce) && !longAgo(h.want) {
		h.enforceLocked(set)
	}
}

// arm comes before a wait.
func (h *half) arm(set setter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting = true; h.isLateLocked() {
		h.enforceLocked(set)
	}
}

// end comes after a wait that ended with err. It reports whether a deadline ended it that is not
// the deadline any more, so that the call has to go on.
func (h *half) end(err error, set setter) (again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = false
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !h.want.IsZero() && time.Until(h.want) <= 0 {
		return false
	}
	h.enforceLocked(set)
	return true
}

// enforceLocked fails for a connection that is closed, as the call itself then does.
func (h *half) enforceLocked(set setter) {
	h.inForce = h.want
	_ = set(h.want)
}

// longAgo recognizes the time by which net/http ends a call, which no clock has to be read for.
func longAgo(t time.Time) bool { return !t.IsZero() && t.Unix() < 1e9 }
