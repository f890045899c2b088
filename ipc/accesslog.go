package ipc

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
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
// sixty lines an hour would hide the next failure. Nothing that a client makes up decides
// whether two failures are the same.
func (h *handler) logRequest(r *http.Request, op, env, user string, took time.Duration, err error) {
	info := RequestInfo{Op: cmp.Or(op, "request"), Duration: took}
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
	key := logKey{op: info.Op, code: e.Code, env: h.configured(e.Environment), from: peerOf(r).Program()}
	level := slog.LevelInfo
	if e.Code == agent.CodeInternal {
		level, key.cause = slog.LevelError, causeOf(err)
		attrs = append(attrs, slog.String("cause", key.cause))
	}
	h.log.LogAttrs(r.Context(), h.limit.level(level, key), "request", attrs...)
}

// configured returns env if an environment that the service shows has that name, else "". A
// panic of the service costs no client its answer.
func (h *handler) configured(env string) (name string) {
	defer func() {
		if v := recover(); v != nil {
			_ = h.logPanic(v)
		}
	}()
	st, err := h.service.Status(h.serving)
	if err == nil && slices.ContainsFunc(st.Environments, func(e agent.EnvironmentStatus) bool { return e.Name == env }) {
		return env
	}
	return ""
}

// named returns the name of a request's environment: "" is the default one.
func (h *handler) named(env string) string {
	if env != "" {
		return h.configured(env)
	}
	st, err := h.service.Status(h.serving)
	if err != nil {
		return ""
	}
	return st.DefaultEnvironment
}

func (h *handler) count(info RequestInfo) {
	if h.onRequest != nil {
		h.onRequest(info)
	}
}

// maxName is the most characters that are logged of a name that a client made up. The names
// of environments are not longer.
const maxName = 64

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
		attrs = append(attrs, slog.String("env", sanitize.Short(env, maxName)))
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
