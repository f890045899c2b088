package examples_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// A wireAgent speaks the socket API by itself, so that it can be of any version: an older
// one does not know the query parameters user and type.
type wireAgent struct {
	older   bool
	handOut bool   // whether it hands out access tokens
	token   string // the ID token; "access." before it makes the access token
	apiURL  string // http://127.0.0.1:1 if empty
	raw     string // if not empty, its answer to GET /v1/token
	cutOff  bool   // whether raw breaks off

	mu   sync.Mutex
	user string // who is signed in
}

func (a *wireAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/login":
		var body struct{ Username string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		a.user = body.Username
		fmt.Fprint(w, `{"state": "done"}`)
	case "GET /v1/status":
		fmt.Fprintf(w, `{"environments": [{"name": "prod"}, {"name": "staging", "user": %q}]}`, a.user)
	case "GET /v1/token":
		a.serveToken(w, r)
	default:
		problem(w, 404, "usage", "no such path")
	}
}

func (a *wireAgent) serveToken(w http.ResponseWriter, r *http.Request) {
	known := []string{"env", "format", "min_valid", "type", "user"}
	if a.older {
		known = known[:3]
	}
	for _, name := range []string{"type", "user"} { // in the order in which the agent looks
		if r.URL.Query().Has(name) && !slices.Contains(known, name) {
			problem(w, 400, "usage", fmt.Sprintf("unknown query parameter %q; known: %s", name, strings.Join(known, ", ")))
			return
		}
	}
	user, token := r.URL.Query().Get("user"), a.token
	switch {
	case a.raw != "":
		if a.cutOff {
			w.Header().Set("Content-Length", "100000")
		}
		fmt.Fprint(w, a.raw)
		return
	case user != "" && user != a.user:
		problem(w, 403, "denied", "the sign-in is another user's")
		return
	case r.URL.Query().Get("type") == "access" && !a.handOut:
		problem(w, 403, "denied", "no access tokens")
		return
	case r.URL.Query().Get("type") == "access":
		token = "access." + token
	}
	fmt.Fprintf(w, `{"token": %q, "token_type": "Bearer", "expires_in": "3000", "environment": "staging", "api_url": %q, "user": %q, "sub": "s"}`,
		token, cmp.Or(a.apiURL, "http://127.0.0.1:1"), a.user)
}

func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"code": %q, "detail": %q, "environment": "staging"}`, code, detail)
}

// serve serves a on a socket and returns the variable that names the socket.
func (a *wireAgent) serve(t *testing.T) (env string) {
	t.Helper()
	path := filepath.Join(testsocket.ShortDir(t), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: a}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	return "KYC_AGENT_SOCK=" + path
}
