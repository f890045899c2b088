package audit

import (
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// stuckAfter is when a write that has not returned is an error to show.
const stuckAfter = 2 * time.Second

// unanswered returns why an event has waited in vain, and logs it once.
func (l *Log) unanswered(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	stuck := l.stuckLocked()
	if stuck == nil {
		return err
	}
	if text, hint := explain(l.o.Dir, stuck); text != l.lastFail {
		l.lastFail = text
		l.o.Logger.Error(text+"; "+hint, "op", "audit")
	}
	return stuck
}

// stuckLocked returns the error of a disk that does not answer, as one that is frozen, or nil.
// Nothing ends such a write; everybody else goes on.
func (l *Log) stuckLocked() error {
	if l.writing.IsZero() || time.Since(l.writing) < stuckAfter {
		return nil
	}
	return stuckError{l.writing}
}

// A stuckError says since when the disk has not answered.
type stuckError struct{ since time.Time }

func (e stuckError) Error() string {
	return "the disk has not answered since " + e.since.Format(time.TimeOnly)
}

// requiredOf is the error of an event that must have a line, and why there is none.
func (l *Log) requiredOf(err error) error {
	message, hint := explain(l.o.Dir, err)
	e := required(message, err).(*agent.Error)
	e.Hint = hint
	return e
}

func (l *Log) setWriting(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = since
}
