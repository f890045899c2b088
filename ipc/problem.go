package ipc

import (
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// renderError renders err for the client that sent r: as text if it asks for that, as the
// format that it names if that has errors, and otherwise as a problem.
func renderError(r *http.Request, err error) response {
	e, res := wire.Sanitized(err), problemResponse(err)
	if wantsText(r.Header) {
		res.mediaType, res.body = wire.MediaText, []byte(e.Error()+"\n")
		return res
	}
	if r.URL.Path != "/v1/token" {
		return res
	}
	// The query counts even if it is wrong in some other way.
	if f, err := format.ByName(r.URL.Query().Get("format")); err == nil && f.RenderError != nil {
		res.mediaType, res.body = f.MediaType, f.RenderError(e)
	}
	return res
}

// WriteError answers with err as a Server does: a problem, whose code is in Kyc-Error as well.
func WriteError(w http.ResponseWriter, err error) { problemResponse(err).write(w) }

// problemResponse renders err as a problem.
func problemResponse(err error) response {
	e := wire.Sanitized(err)
	res := response{status: wire.StatusOf(e.Code), mediaType: wire.MediaProblem, retryAfter: retryAfter(e), code: e.Code}
	if s, ok := errors.AsType[*wire.StatusError](err); ok {
		res.status, res.allow = s.Status, s.Allow
	}
	res.body = wire.Encode(wire.NewProblem(res.status, e))
	return res
}

// retryAfter returns the Retry-After header in whole seconds, rounded up, or "". Every 503
// has one.
func retryAfter(e *agent.Error) string {
	if e.RetryAfter <= 0 && e.Code != agent.CodeUnavailable {
		return ""
	}
	return strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds()))))
}
