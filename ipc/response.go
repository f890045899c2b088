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

// write sends the answer to a client that has writeTimeout to read it.
func (res response) write(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	res.send(w)
}

// The values of what all answers have.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// send sends the answer. The values of its header share an array: [http.Header.Set] would make
// one for each, which was a fifth of the handler's allocations.
func (res response) send(w http.ResponseWriter) {
	h := w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	values := make([]string, 0, 8)
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if res.status != http.StatusNoContent {
		set("Content-Type", res.mediaType)
		set("Content-Length", strconv.Itoa(len(res.body)))
	}
	for _, field := range [...]struct{ name, value string }{
		{"Retry-After", res.retryAfter}, {"Allow", res.allow}, {wire.HeaderWarning, res.warning},
		{wire.HeaderError, string(res.code)}, {wire.HeaderEnvironment, res.environment}, {wire.HeaderUser, sanitize.OneLine(res.user)},
	} {
		if field.value != "" {
			set(field.name, field.value)
		}
	}
	w.WriteHeader(max(res.status, http.StatusOK))
	_, _ = w.Write(res.body) // a client that is gone needs no answer
}
