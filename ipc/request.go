package ipc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent"
)

// maxBody is the largest body, in bytes, that a request may have.
const maxBody = 64 << 10

// foreign refuses what comes from a browser by way of somebody's proxy to the
// socket. The Host check also stops DNS rebinding.
func foreign(r *http.Request) error {
	if err := noBrowser(r); err != nil {
		return err
	}
	if r.Host != "" && r.Host != host {
		e := denied("a request for the host " + quoted(r.Host) + " is refused: nothing is forwarded from this socket")
		e.Hint = "ask http://" + host + " (the API: the agent.sock of a kyc-agentd that runs without --no-proxy-api)"
		return e
	}
	return nil
}

type forwardedKey struct{}

// withForwarded gives the requests of a connection a place to note that one of them was
// forwarded. They come one after the other, in one goroutine.
func withForwarded(ctx context.Context) context.Context {
	return context.WithValue(ctx, forwardedKey{}, new(bool))
}

// markForwarded notes that the connection of r has carried a request to an API.
func markForwarded(r *http.Request) {
	if forwarded, ok := r.Context().Value(forwardedKey{}).(*bool); ok {
		*forwarded = true
	}
}

// afterForwarded refuses a request to the agent on a connection that has carried one to
// an API: should a body ever end for the agent before it ends for the client, the rest of
// that body gets no token. HTTP clients keep a connection for one host only, over a Unix
// socket as well (curl and Go's client do), so none of them sends such a request. A client
// that mixes hosts by hand is told, and the closed connection makes it open another one.
func afterForwarded(w http.ResponseWriter, r *http.Request) error {
	if forwarded, ok := r.Context().Value(forwardedKey{}).(*bool); !ok || !*forwarded {
		return nil
	}
	w.Header().Set("Connection", "close")
	e := denied("a request to the agent is refused on a connection that has carried one to an API")
	e.Hint = "send it on another connection"
	return e
}

func noBrowser(r *http.Request) error {
	for _, name := range []string{"Origin", "Referer"} {
		if _, ok := r.Header[name]; ok {
			return denied("a request with " + name + " is refused: browsers have no business here")
		}
	}
	return nil
}

func denied(message string) *agent.Error {
	return &agent.Error{Code: agent.CodeDenied, Op: "request", Message: message}
}

// parseQuery refuses what is not in known, so that a misspelt parameter is not
// silently ignored, and what is there twice, so that no two readers differ.
func parseQuery(raw string, known []string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, usage("the query cannot be read; escape special characters with %%")
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, unknown("unknown query parameter %s; there are none here", quoted(name))
		case !slices.Contains(known, name):
			return nil, unknown("unknown query parameter %s; known: %s", quoted(name), strings.Join(known, ", "))
		case len(q[name]) > 1:
			return nil, usage("query parameter %s is there %d times", quoted(name), len(q[name]))
		}
	}
	return q, nil
}

// parseMinValid reads a Go duration or whole seconds; empty is 0.
func parseMinValid(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil && n <= math.MaxInt64/uint64(time.Second) {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, usage("min_valid %s is not a duration; write 5m, or 300 for seconds", quoted(s))
	case d < 0:
		return 0, usage("min_valid %s is below zero", quoted(s))
	}
	return d, nil
}

// readBody returns the whole body of a POST, which has to be of the media type want.
func readBody(w http.ResponseWriter, r *http.Request, want string) ([]byte, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != want {
		return nil, usageStatus(http.StatusUnsupportedMediaType, "a body needs the header Content-Type: %s", want)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, usageStatus(http.StatusRequestEntityTooLarge, "the body is larger than %d KiB", maxBody>>10)
	}
	if err != nil {
		return nil, usage("the body did not arrive whole")
	}
	return body, nil
}

// fields names what a JSON object may hold, and where each value goes: a *string,
// or a *agent.Answers.
type fields map[string]any

// decode reads a JSON object strictly. encoding/json would take unknown fields,
// repeated ones and names in the wrong case, and would replace bytes that are not
// UTF-8, in a password too. No error quotes a value.
func (f fields) decode(body []byte) error {
	if !utf8.Valid(body) {
		return usage("the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := eachField(dec, f.set); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return usage("there is more in the body than one JSON object")
	}
	return nil
}

func (f fields) set(name string, value json.RawMessage) error {
	switch to := f[name].(type) {
	case *string:
		return setString(to, name, value)
	case *agent.Answers:
		*to = agent.Answers{}
		return eachField(json.NewDecoder(bytes.NewReader(value)), func(key string, value json.RawMessage) error {
			var s string
			err := setString(&s, key, value)
			(*to)[key] = agent.NewSecret(s)
			return err
		})
	}
	return unknown("unknown field %s in the body; known: %s", quoted(name), f.names())
}

func (f fields) names() string {
	if len(f) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(f)), ", ")
}

func setString(to *string, name string, value json.RawMessage) error {
	if value[0] != '"' || json.Unmarshal(value, to) != nil {
		return usage("field %s of the body is not a string", quoted(name))
	}
	return nil
}

// eachField calls set for every field of the object that dec reads next.
func eachField(dec *json.Decoder, set func(name string, value json.RawMessage) error) error {
	notObject := usage("the body is not a JSON object")
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return notObject
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return notObject
		}
		name := key.(string) // the decoder takes nothing else for a key
		if seen[name] {
			return usage("field %s is there twice in the body", quoted(name))
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return notObject
		}
		if err := set(name, value); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return notObject
	}
	return nil
}
