package ipc

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// A recorder keeps the events, or refuses them.
type recorder struct {
	mode audit.Mode
	err  error

	mu     sync.Mutex
	events []audit.Event
}

func (r *recorder) Mode() audit.Mode { return r.mode }

func (r *recorder) Record(_ context.Context, e audit.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return r.err
}

// taken returns the events since the last call.
func (r *recorder) taken() []audit.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.events
	r.events = nil
	return all
}

// audited is a service with one environment, staging, whose API is at apiURL.
func audited(apiURL string) *scripted {
	return &scripted{
		token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
			t := fixture.Token("staging")
			t.User, t.APIURL, t.AccessToken = "ana", apiURL, agent.NewSecret("access")
			if req.User == "eve" {
				return agent.Token{}, &agent.Error{Code: agent.CodeDenied, Environment: "staging"}
			}
			return t, nil
		},
		aws: func(context.Context, agent.TokenRequest) (agent.AWSCredentials, error) {
			return agent.AWSCredentials{Environment: "staging", User: "ana", AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: agent.NewSecret("s"), SessionToken: agent.NewSecret("t")}, nil
		},
		login: func(_ context.Context, req agent.LoginRequest, _ agent.Prompter) error {
			if req.Username != "ana" {
				return &agent.Error{Code: agent.CodeLoginRequired, Environment: "staging"}
			}
			return nil
		},
		logout: func(_ context.Context, req agent.LogoutRequest) error {
			if req.Scope == agent.LogoutAllDevices {
				return &agent.Error{Code: agent.CodeUnavailable, Environment: "staging"}
			}
			return nil
		},
		status: func(context.Context) (agent.Status, error) {
			return agent.Status{DefaultEnvironment: "staging", Environments: []agent.EnvironmentStatus{{Name: "staging", APIURL: apiURL}}}, nil
		},
	}
}

// What each request has in the log. Nothing is said of a request that nobody got anything by.
func TestAuditedRequests(t *testing.T) {
	api := newUpstream(t, nil)
	token := fixture.Token("staging").IDToken
	got := func(kind audit.Kind, detail string) *audit.Event {
		return &audit.Event{Kind: kind, Environment: "staging", User: "ana", Token: token, Detail: detail}
	}
	proxied := func(method, host, target string) string {
		return method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\n\r\n"
	}
	access := got(audit.Token, "access token")
	access.Token = agent.NewSecret("access")
	helper := rawRequest("POST", "/v1/helper/git?env=staging", "protocol=https\nhost="+strings.TrimPrefix(api.URL, "http://")+"\n", "Content-Type: application/octet-stream")
	tests := []struct {
		name, raw string
		want      *audit.Event // nil: none
	}{
		{"a token", rawRequest("GET", "/v1/token?env=staging", ""), got(audit.Token, "")},
		{"of the default environment", rawRequest("GET", "/v1/token", ""), got(audit.Token, "")},
		{"an access token", rawRequest("GET", "/v1/token?type=access", ""), access},
		{"AWS credentials", rawRequest("GET", "/v1/token?format=aws", ""), &audit.Event{Kind: audit.AWS, Environment: "staging", User: "ana", Detail: "ASIAEXAMPLE"}},
		{"a helper without a token", strings.Replace(helper, "host=", "host=x", 1), nil},
		{"the status", rawRequest("GET", "/v1/status", ""), nil},
		{"a sign-in", post("/v1/login", `{"username":"ana","password":"x"}`), &audit.Event{Kind: audit.Login, Environment: "staging", User: "ana"}},
		{"a sign-in with an API key", post("/v1/login", `{"username":"ana","api_key":"sk_x"}`), &audit.Event{Kind: audit.Login, Environment: "staging", User: "ana", Detail: "API key"}},
		{"a sign-in that failed", post("/v1/login", `{"username":"Correct-horse-9","password":"x"}`), &audit.Event{Kind: audit.Login, Environment: "staging", Code: agent.CodeLoginRequired}},
		{"a sign-out", post("/v1/logout", `{"environment":"staging"}`), &audit.Event{Kind: audit.Logout, Environment: "staging"}},
		{"a sign-out that failed", post("/v1/logout", `{"scope":"all-devices"}`), &audit.Event{Kind: audit.Logout, Environment: "staging", Code: agent.CodeUnavailable}},
		{"a reload", post("/v1/reload", ""), &audit.Event{Kind: audit.Reload}},
		{"another user", rawRequest("GET", "/v1/token?user=eve", ""), &audit.Event{Kind: audit.Refused, Environment: "staging", Detail: "token", Code: agent.CodeDenied}},
		{"a browser", rawRequest("GET", "/v1/token", "", "Origin: http://x"), &audit.Event{Kind: audit.Refused, Code: agent.CodeDenied}},
		{"a wrong parameter", rawRequest("GET", "/v1/token?x=1", ""), nil},
		{"a request to the API", proxied("POST", "staging", "/kyc/7?name=ana"), &audit.Event{Kind: audit.API, Environment: "staging", User: "ana", Token: token, Method: "POST", Path: "/kyc/7", Status: 200}},
		{"a request that is not forwarded", proxied("GET", "staging", "/a/../b"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{mode: audit.On}
			ln := serveMemServer(t, &Server{Service: audited(api.URL), Proxy: true, Audit: r, Name: "ai", Reload: func(context.Context, Passphrase, string) error { return nil }})
			before := time.Now()
			ask(t, ln, tt.raw)
			events := r.taken()
			if tt.want == nil {
				if len(events) != 0 {
					t.Errorf("got %+v", events)
				}
				return
			}
			if len(events) != 1 {
				t.Fatalf("%d events: %+v", len(events), events)
			}
			e, want := events[0], *tt.want
			if !e.Token.Equal(want.Token) || e.Peer == nil || e.Socket != "ai" {
				t.Errorf("got %+v", e)
			}
			if !e.Time.IsZero() && (e.Time.Before(before) || e.Time.After(time.Now())) {
				t.Errorf("at %v, asked at %v", e.Time, before)
			}
			e.Token, e.Peer, e.Socket, e.Time, want.Token = agent.Secret{}, nil, "", time.Time{}, agent.Secret{}
			if e != want {
				t.Errorf("got  %+v\nwant %+v", e, want)
			}
		})
	}
}

// Where a line is required and cannot be written, the answer is 503 and has no credential in it,
// whatever was asked for; a request to the API is not sent.
func TestNoLineNoToken(t *testing.T) {
	api := newUpstream(t, nil)
	refused := &agent.Error{Code: agent.CodeUnavailable, Op: "audit", Message: `audit = "required", and the disk is full`, Hint: "make room"}
	r := &recorder{mode: audit.Required, err: refused}
	ln := serveMemServer(t, &Server{Service: audited(api.URL), Proxy: true, Audit: r})
	for name, raw := range map[string]string{
		"token":  rawRequest("GET", "/v1/token?env=staging", ""),
		"json":   rawRequest("GET", "/v1/token?format=json", ""),
		"aws":    rawRequest("GET", "/v1/token?format=aws", ""),
		"k8s":    rawRequest("POST", "/v1/helper/k8s?env=staging", helperBodies["k8s"], "Content-Type: application/octet-stream"),
		"API":    "GET /kyc HTTP/1.1\r\nHost: staging\r\n\r\n",
		"status": "",
	} {
		if raw == "" {
			continue
		}
		a := ask(t, ln, raw)
		if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.body, "the disk is full") || !strings.Contains(a.body, "make room") ||
			strings.Contains(a.body, fixture.Token("staging").IDToken.Reveal()) || strings.Contains(a.body, "ASIA") {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
		if events := r.taken(); len(events) != 1 {
			t.Errorf("%s: %d events", name, len(events))
		}
	}
	if api.wire() != "" {
		t.Errorf("the API got %q", api.wire())
	}
	if a := ask(t, ln, rawRequest("GET", "/v1/status", "")); a.StatusCode != http.StatusOK {
		t.Errorf("the status: %d", a.StatusCode)
	}
}

// A line that fails when the API has answered keeps the answer back.
func TestNoLineNoAnswer(t *testing.T) {
	api := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the answer") })
	r := &failingSecond{recorder: recorder{mode: audit.Required}}
	ln := serveMemServer(t, &Server{Service: audited(api.URL), Proxy: true, Audit: r})
	a := ask(t, ln, "GET /kyc HTTP/1.1\r\nHost: staging\r\n\r\n")
	if a.StatusCode != http.StatusServiceUnavailable || strings.Contains(a.body, "the answer") || !strings.Contains(a.body, "no room") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	events := r.taken()
	if len(events) < 2 || events[0].Status != 0 || events[1].Status != 200 {
		t.Errorf("%+v", events)
	}
}

type failingSecond struct{ recorder }

func (r *failingSecond) Record(ctx context.Context, e audit.Event) error {
	_ = r.recorder.Record(ctx, e)
	if e.Status != 0 {
		return &agent.Error{Code: agent.CodeUnavailable, Message: "no room"}
	}
	return nil
}

// What a policy refuses is in the log with the socket's name, and its path has no query.
func TestAuditedRefusalsOfAPolicy(t *testing.T) {
	api := newUpstream(t, nil)
	service := audited(api.URL)
	r := &recorder{mode: audit.On}
	p := agent.Policy{Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}, Methods: []string{"GET"}}
	ln := serveMemServer(t, &Server{Restricted: p.Restrict(service), Proxy: true, Audit: r, Name: "ai"})
	for _, raw := range []string{
		rawRequest("GET", "/v1/token?env=staging", ""),
		"POST /kyc?x=1 HTTP/1.1\r\nHost: staging\r\nContent-Length: 0\r\n\r\n",
		post("/v1/logout", `{}`),
	} {
		if a := ask(t, ln, raw); a.StatusCode != http.StatusForbidden {
			t.Errorf("%q: %d", raw, a.StatusCode)
		}
		events := r.taken()
		if len(events) != 1 || events[0].Code != agent.CodeDenied || events[0].Socket != "ai" || strings.Contains(events[0].Path, "?") {
			t.Errorf("%q: %+v", raw, events)
		}
	}
}
