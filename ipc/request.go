package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// checkHost refuses what a browser sends through some proxy to the socket. The check of the
// Host also stops DNS rebinding.
func checkHost(r *http.Request) error {
	if err := checkNotBrowser(r); err != nil {
		return err
	}
	if r.Host != "" && r.Host != wire.Host {
		e := deniedError("a request for the host " + wire.Quote(r.Host) + " is refused: nothing is forwarded from this socket")
		e.Hint = "ask http://" + wire.Host + " (the API: the agent.sock of a kyc-agentd that runs without --no-proxy-api)"
		return e
	}
	return nil
}

func checkNotBrowser(r *http.Request) error {
	for _, name := range []string{"Origin", "Referer"} {
		if _, ok := r.Header[name]; ok {
			return deniedError("a request with " + name + " is refused: browsers have no business here")
		}
	}
	return nil
}

func deniedError(message string) *agent.Error {
	return &agent.Error{Code: agent.CodeDenied, Op: "request", Message: message}
}

// readBody returns the whole body of a POST, which must have the media type want.
func readBody(w http.ResponseWriter, r *http.Request, want string) ([]byte, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != want {
		return nil, wire.NewStatusError(http.StatusUnsupportedMediaType, "a body needs the header Content-Type: %s", want)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, wire.NewStatusError(http.StatusRequestEntityTooLarge, "the body is larger than %d KiB", wire.MaxBody>>10)
	}
	if err != nil {
		return nil, wire.UsageError("the body did not arrive whole")
	}
	return body, nil
}

// fields maps the fields that a JSON object may have to where their values go: a *string, a
// *bool, a *[]string, or a *agent.Answers.
type fields map[string]any

// decode reads a JSON object strictly. encoding/json would accept unknown fields, repeated
// ones and names in the wrong case, and would replace bytes that are not UTF-8, in a
// password too. No error quotes a value.
func (f fields) decode(body []byte) error {
	if !utf8.Valid(body) {
		return wire.UsageError("the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := wire.EachField(dec, f.set); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return wire.UsageError("there is more in the body than one JSON object")
	}
	return nil
}

func (f fields) set(name string, value json.RawMessage) error {
	switch to := f[name].(type) {
	case *string:
		return wire.SetString(to, name, value)
	case *bool:
		return wire.SetValue(to, name, "true or false", value)
	case *[]string:
		return wire.SetValue(to, name, "a list of strings", value)
	case *agent.Answers:
		*to = agent.Answers{}
		return wire.EachField(json.NewDecoder(bytes.NewReader(value)), func(key string, value json.RawMessage) error {
			var s string
			err := wire.SetString(&s, key, value)
			(*to)[key] = agent.NewSecret(s)
			return err
		})
	}
	return wire.UnknownError("unknown field %s in the body; known: %s", wire.Quote(name), f.names())
}

func (f fields) names() string {
	if len(f) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(f)), ", ")
}
