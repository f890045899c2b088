package ipc

import (
	"cmp"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A RequestInfo describes one request that was answered, for [Server.OnRequest].
type RequestInfo struct {
	// Op is the operation: "token", "helper", "status", "login", "logout", "reload", …,
	// "proxy" for a forwarded request, "request" if it matched no operation.
	Op       string
	Code     agent.Code // empty for a success
	Duration time.Duration
}

// logRequest writes the request to the log: what was asked and how it ended. The line of an
// internal error has its cause too, which the client does not get.
//
// A success is for debugging: the agent itself logs what it changed. A failure is for the
// administrator, but only once: a cron job without a sign-in fails every minute, and its
// sixty lines an hour would hide the next failure.
func (h *handler) logRequest(r *http.Request, op, env, user string, started time.Time, err error) {
	info := RequestInfo{Op: cmp.Or(op, "request"), Duration: time.Since(started)}
	if err == nil {
		h.count(info)
		if h.log.Enabled(r.Context(), slog.LevelDebug) {
			h.log.LogAttrs(r.Context(), slog.LevelDebug, "request", logAttrs(r, info, env, user)...)
		}
		return
	}
	e := wire.Sanitized(err)
	info.Code = e.Code
	h.count(info)
	attrs := append(logAttrs(r, info, cmp.Or(e.Environment, env), user), slog.String("error", e.Error()))
	level := slog.LevelDebug
	switch {
	case e.Code == agent.CodeInternal:
		level = slog.LevelError
		attrs = append(attrs, slog.String("cause", causeOf(err)))
	case h.failures.shouldLog(failureKey{info.Op, e.Code, e.Environment, peerOf(r).Program()}, time.Now()):
		level = slog.LevelInfo
	}
	h.log.LogAttrs(r.Context(), level, "request", attrs...)
}

func (h *handler) count(info RequestInfo) {
	if h.onRequest != nil {
		h.onRequest(info)
	}
}

// causeOf returns the text of what an [agent.Error] wraps.
func causeOf(err error) string {
	if e, ok := err.(*agent.Error); ok {
		if e.Err == nil {
			return ""
		}
		err = e.Err
	}
	return sanitize.OneLine(err.Error())
}

// logAttrs returns the fields of a request's line, under the names that they have in all
// lines.
func logAttrs(r *http.Request, info RequestInfo, env, user string) []slog.Attr {
	attrs := []slog.Attr{slog.String("op", info.Op)}
	if env != "" {
		attrs = append(attrs, slog.String("env", env))
	}
	if user != "" {
		attrs = append(attrs, slog.String("user", sanitize.OneLine(user)))
	}
	if info.Code != "" {
		attrs = append(attrs, slog.String("code", string(info.Code)))
	}
	attrs = append(attrs, slog.Duration("duration", info.Duration))
	if p := peerOf(r); p.PID > 0 {
		attrs = append(attrs, slog.Int("pid", p.PID))
		if exe := p.Program(); exe != "" {
			attrs = append(attrs, slog.String("exe", exe))
		}
	}
	return attrs
}

const (
	// suppressFor is how long a failure that was logged is not logged again.
	suppressFor = time.Hour
	// maxFailures bounds what is remembered. Beyond it everything is forgotten, and logged
	// again.
	maxFailures = 256
)

// A failureKey says which failures are the same to an administrator.
type failureKey struct {
	op   string
	code agent.Code
	env  string
	exe  string
}

// loggedFailures remembers when each failure was last logged.
type loggedFailures struct {
	mu   sync.Mutex
	last map[failureKey]time.Time
}

// shouldLog reports whether k was not logged within suppressFor before now. If so, it
// remembers now.
func (f *loggedFailures) shouldLog(k failureKey, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, ok := f.last[k]; ok && now.Sub(last) < suppressFor {
		return false
	}
	if f.last == nil || len(f.last) >= maxFailures {
		f.last = map[failureKey]time.Time{}
	}
	f.last[k] = now
	return true
}
