package ipc

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// serveMetrics answers as [Server.Metrics] does. An answer other than 200 is an internal
// error: its text goes to the log only.
func (h *handler) serveMetrics(r *request) (response, error) {
	if h.metrics == nil {
		return response{}, wire.UsageError("there are no metrics on this socket")
	}
	ctx, cancel := h.withTimeout(workTimeout)
	defer cancel()
	w := &bufferedResponse{header: http.Header{}}
	h.metrics.ServeHTTP(w, r.http.WithContext(ctx))
	if w.status != 0 && w.status != http.StatusOK {
		return response{}, &agent.Error{Code: agent.CodeInternal, Err: errors.New(w.body.String())}
	}
	return response{mediaType: w.header.Get("Content-Type"), body: w.body.Bytes()}, nil
}

// A bufferedResponse is an [http.ResponseWriter] that keeps what is written.
type bufferedResponse struct {
	header http.Header
	status int // 0 means 200
	body   bytes.Buffer
}

func (w *bufferedResponse) Header() http.Header { return w.header }

func (w *bufferedResponse) WriteHeader(status int) { w.status = status }

func (w *bufferedResponse) Write(p []byte) (int, error) { return w.body.Write(p) }
