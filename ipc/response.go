package ipc

import (
	"net/http"
	"strconv"
	"sync/atomic"
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

// answer is write for a client that has waited so long.
func (res *response) answer(w http.ResponseWriter, waited time.Duration) {
	if waited < atOnce {
		res.send(w)
	} else {
		res.write(w)
	}
}

// The values of what all answers have.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// A knownHead is the head of an answer that was sent before: that of a cached token is the same for
// as long as the token is. Its values are shared by answers that are sent at the same time.
type knownHead struct {
	mediaType, user           string
	length                    int
	contentType, size, userIs []string
}

var newestHead atomic.Pointer[knownHead]

// headOf returns what the heads of all answers with a body have.
func headOf(res *response) *knownHead {
	if k := newestHead.Load(); k != nil && k.length == len(res.body) && k.mediaType == res.mediaType && k.user == res.user {
		return k
	}
	k := &knownHead{
		mediaType: res.mediaType, user: res.user, length: len(res.body),
		contentType: []string{res.mediaType}, size: []string{strconv.Itoa(len(res.body))},
	}
	if res.user != "" {
		k.userIs = []string{sanitize.OneLine(res.user)}
	}
	newestHead.Store(k)
	return k
}

// send sends the answer.
func (res *response) send(w http.ResponseWriter) {
	h := w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	head := headOf(res)
	if res.status != http.StatusNoContent {
		h["Content-Type"], h["Content-Length"] = head.contentType, head.size
	}
	if head.userIs != nil {
		h[wire.HeaderUser] = head.userIs
	}
	for _, field := range [...]struct{ name, value string }{
		{"Retry-After", res.retryAfter}, {"Allow", res.allow}, {wire.HeaderWarning, res.warning},
		{wire.HeaderError, string(res.code)}, {wire.HeaderEnvironment, res.environment},
	} {
		if field.value != "" {
			h[field.name] = []string{field.value}
		}
	}
	w.WriteHeader(max(res.status, http.StatusOK))
	_, _ = w.Write(res.body) // a client that is gone needs no answer
}
