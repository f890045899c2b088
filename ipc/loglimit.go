package ipc

import (
	"log/slog"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	// suppressFor is how long what was logged is not logged again.
	suppressFor = time.Hour
	// maxLogged is how many different lines are logged in that time. Any more are dropped: a
	// client that makes up new ones must not fill the log, nor make the old ones new.
	maxLogged = 256
)

// A logKey says which lines are the same to an administrator. What a client sends decides
// none of its parts, or it would write as many lines as maxLogged allows.
type logKey struct {
	op    string
	code  agent.Code
	env   string // a configured environment, or ""
	from  string // the program, the unit or the user that asks
	cause string // of an internal error; a credential that a unit did not get
}

// A logLimit decides what reaches the log at a level above debug. There is one for each
// socket, so that what comes by one of them hides nothing of another. The zero logLimit is
// ready.
type logLimit struct {
	mu   sync.Mutex
	last map[logKey]time.Time
}

// level returns at which level a line of k is logged: at level, or at debug if it is not to be
// logged again.
func (l *logLimit) level(level slog.Level, k logKey) slog.Level {
	if l.shouldLog(k) {
		return level
	}
	return slog.LevelDebug
}

// shouldLog reports whether k was not logged within suppressFor, and there is room for it.
// The caller then logs it.
func (l *logLimit) shouldLog(k logKey) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[k]; ok && now.Sub(last) < suppressFor {
		return false
	}
	if len(l.last) >= maxLogged {
		l.forgetLocked(now)
	}
	if len(l.last) >= maxLogged {
		return false
	}
	if l.last == nil {
		l.last = map[logKey]time.Time{}
	}
	l.last[k] = now
	return true
}

// forgetLocked makes room by what may be logged again anyway.
func (l *logLimit) forgetLocked(now time.Time) {
	for k, last := range l.last {
		if now.Sub(last) >= suppressFor {
			delete(l.last, k)
		}
	}
}
