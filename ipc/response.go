package ipc

import (
	"net/http"
	"strconv"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A response is an answer that is not yet written.
type response struct {
	status     int // 0 means 200
	mediaType  string
	retryAfter string
	warning    string     // for the person
	code       agent.Code // of an error
	allow      string     // with 405
	body       []byte

	environment string // if the body has no place for it
	user        string // whose token it is
	issued      issued // what is in the body; zero if nothing is
}

// issued is the credential in an answer, for the audit log.
type issued struct {
	environment string
	token       agent.Secret
	detail      string // the helper's protocol, the access key id
}

func jsonResponse(v any) response {
	return response{mediaType: wire.MediaJSON, body: wire.Encode(v)}
}

func (res response) write(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if res.status != http.StatusNoContent {
		h.Set("Content-Type", res.mediaType)
		h.Set("Content-Length", strconv.Itoa(len(res.body)))
	}
	for _, field := range [...]struct{ name, value string }{
		{"Retry-After", res.retryAfter}, {"Allow", res.allow}, {wire.HeaderWarning, res.warning},
		{wire.HeaderError, string(res.code)}, {wire.HeaderEnvironment, res.environment}, {wire.HeaderUser, sanitize.OneLine(res.user)},
	} {
		if field.value != "" {
			h.Set(field.name, field.value)
		}
	}
	w.WriteHeader(max(res.status, http.StatusOK))
	_, _ = w.Write(res.body) // a client that is gone needs no answer
}
