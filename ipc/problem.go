package ipc

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A kind is what a code looks like on the wire.
type kind struct {
	status int
	title  string
	// say is the line for an error that has no words of its own.
	say string
}

var kinds = map[agent.Code]kind{
	agent.CodeUsage:              {http.StatusBadRequest, "Wrong request", "the request is wrong"},
	agent.CodeLoginRequired:      {http.StatusUnauthorized, "Sign-in required", "a person has to sign in"},
	agent.CodeDenied:             {http.StatusForbidden, "Denied", "refused"},
	agent.CodeUnknownEnvironment: {http.StatusNotFound, "Unknown environment", "no such environment is configured"},
	agent.CodeConfiguration:      {http.StatusUnprocessableEntity, "Wrong configuration", "the configuration cannot work"},
	agent.CodeLocked:             {http.StatusLocked, "Store locked", "the store is locked"},
	agent.CodeThrottled:          {http.StatusTooManyRequests, "Slow down", "Cognito asks to slow down; try again later"},
	agent.CodeInternal:           {http.StatusInternalServerError, "Internal error", "internal error; the agent's log says more"},
	agent.CodeUnavailable:        {http.StatusServiceUnavailable, "Unavailable", "not available right now; try again later"},
}

func kindOf(code agent.Code) kind {
	if k, ok := kinds[code]; ok {
		return k
	}
	return kinds[agent.CodeInternal]
}

// An httpError is an error whose status is not the one of its code.
type httpError struct {
	err    *agent.Error
	status int
	allow  string // the Allow header of a 405
}

// Error returns the [agent.Error]'s line.
func (e *httpError) Error() string { return e.err.Error() }

// Unwrap leads errors.As to the [agent.Error].
func (e *httpError) Unwrap() error { return e.err }

func usage(format string, args ...any) *agent.Error {
	return &agent.Error{Code: agent.CodeUsage, Op: "request", Message: fmt.Sprintf(format, args...)}
}

func usageStatus(status int, format string, args ...any) *httpError {
	return &httpError{err: usage(format, args...), status: status}
}

// public returns the part of err that a client may read: its words, and never its
// cause, which may quote anything.
func public(err error) *agent.Error {
	out := agent.Error{Code: agent.CodeOf(err)}
	if e, ok := errors.AsType[*agent.Error](err); ok {
		out = agent.Error{
			Code: e.Code, Environment: sanitize.OneLine(e.Environment), RetryAfter: e.RetryAfter,
			Message: sanitize.OneLine(e.Message), Hint: sanitize.OneLine(e.Hint),
		}
	}
	if out.Message == "" {
		out.Message = kindOf(out.Code).say
	}
	return &out
}

// failure renders err for the client that sent r.
func failure(r *http.Request, err error) reply {
	e, out := public(err), problemReply(err)
	if wantsText(r.Header) {
		out.mediaType, out.body = mediaText, []byte(e.Error()+"\n")
	} else if f, ok := formatByName(requestedFormat(r)); ok && f.fail != nil {
		out.mediaType, out.body = f.mediaType, f.fail(e)
	}
	return out
}

// problemReply renders err as a problem.
func problemReply(err error) reply {
	e := public(err)
	out := reply{status: kindOf(e.Code).status, mediaType: mediaProblem, retryAfter: retryAfter(e), code: e.Code}
	if h, ok := errors.AsType[*httpError](err); ok {
		out.status, out.allow = h.status, h.allow
	}
	out.body = problemBody(out.status, e)
	return out
}

func problemBody(status int, e *agent.Error) []byte {
	return encode(problem{
		Type: "urn:kyc-agent:problem:" + string(e.Code), Title: kindOf(e.Code).title, Status: status,
		Detail: e.Message, Code: e.Code, Environment: e.Environment, Hint: e.Hint,
		RetryAfter: e.RetryAfter.Seconds(),
	})
}

// retryAfter is the Retry-After header in whole seconds, rounded up, or empty.
// Every 503 has one.
func retryAfter(e *agent.Error) string {
	if e.RetryAfter <= 0 && e.Code != agent.CodeUnavailable {
		return ""
	}
	return strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds()))))
}

// encode renders v as JSON and a newline. What it is given always encodes.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// errorOf makes the [agent.Error] that a problem was made of.
func (p problem) errorOf(op string) *agent.Error {
	return &agent.Error{
		Code: p.Code, Op: op, Environment: sanitize.OneLine(p.Environment), Message: sanitize.OneLine(p.Detail), Hint: sanitize.OneLine(p.Hint),
		RetryAfter: time.Duration(math.Round(p.RetryAfter * float64(time.Second))),
	}
}

// codeOfStatus is for an answer that has no code: net/http's own, say.
func codeOfStatus(status int) agent.Code {
	for code, k := range kinds {
		if k.status == status && code != agent.CodeUnknownEnvironment {
			return code
		}
	}
	if status >= 400 && status < 500 {
		return agent.CodeUsage
	}
	return agent.CodeInternal
}
