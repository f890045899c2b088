package ipc

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A RequestInfo is one request that was answered, for whoever counts them.
type RequestInfo struct {
	// Op is the operation: "token", "helper", "status", "login", "logout", "reload", …,
	// "proxy" for a forwarded request, "request" for what was none.
	Op       string
	Code     agent.Code // empty for a success
	Duration time.Duration
}

// note writes the request to the log: what was asked and how it ended. An internal
// error brings its cause, which the client is not shown.
//
// A success is for debugging: the agent itself logs what it changed. A failure is for
// the administrator, once: a cron job without a sign-in fails every minute, and its
// sixty lines an hour would hide the next failure.
func (a *api) note(r *http.Request, op, env string, started time.Time, err error) {
	call := RequestInfo{Op: cmp.Or(op, "request"), Duration: time.Since(started)}
	if err == nil {
		a.count(call)
		if a.log.Enabled(r.Context(), slog.LevelDebug) {
			a.log.LogAttrs(r.Context(), slog.LevelDebug, "request", attrsOf(r, call, env)...)
		}
		return
	}
	e := public(err)
	call.Code = e.Code
	a.count(call)
	attrs := append(attrsOf(r, call, cmp.Or(e.Environment, env)), slog.String("error", e.Error()))
	level := slog.LevelDebug
	switch {
	case e.Code == agent.CodeInternal:
		level = slog.LevelError
		attrs = append(attrs, slog.String("cause", causeOf(err)))
	case a.failures.first(failureKey{call.Op, e.Code, e.Environment, peerOf(r).Program()}, time.Now()):
		level = slog.LevelInfo
	}
	a.log.LogAttrs(r.Context(), level, "request", attrs...)
}

func (a *api) count(c RequestInfo) {
	if a.observe != nil {
		a.observe(c)
	}
}

// attrsOf are the fields of a request's line, by their names everywhere in the log.
func attrsOf(r *http.Request, c RequestInfo, env string) []slog.Attr {
	attrs := []slog.Attr{slog.String("op", c.Op)}
	if env != "" {
		attrs = append(attrs, slog.String("env", env))
	}
	if c.Code != "" {
		attrs = append(attrs, slog.String("code", string(c.Code)))
	}
	attrs = append(attrs, slog.Duration("duration", c.Duration))
	if p := peerOf(r); p.PID > 0 {
		attrs = append(attrs, slog.Int("pid", p.PID))
		if exe := p.Program(); exe != "" {
			attrs = append(attrs, slog.String("exe", exe))
		}
	}
	return attrs
}

type peerKey struct{}

// withPeer puts the process that connected into the context of a connection.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if p, err := socket.PeerOf(c); err == nil {
		return context.WithValue(ctx, peerKey{}, p)
	}
	return ctx
}

// peerOf returns the process that sent r, or the zero Peer if it is not known.
func peerOf(r *http.Request) socket.Peer {
	p, _ := r.Context().Value(peerKey{}).(socket.Peer)
	return p
}

const (
	// quietFor is how long a failure that was logged is not logged again.
	quietFor = time.Hour
	// mostFailures bounds what is remembered; beyond it all is forgotten, and logged anew.
	mostFailures = 256
)

// A failureKey says which failures are the same to an administrator.
type failureKey struct {
	op   string
	code agent.Code
	env  string
	exe  string
}

// failures remembers when each was last logged.
type failures struct {
	mu     sync.Mutex
	logged map[failureKey]time.Time
}

// first reports whether k was not logged within quietFor before now, and notes it.
func (f *failures) first(k failureKey, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, ok := f.logged[k]; ok && now.Sub(last) < quietFor {
		return false
	}
	if f.logged == nil || len(f.logged) >= mostFailures {
		f.logged = map[failureKey]time.Time{}
	}
	f.logged[k] = now
	return true
}
