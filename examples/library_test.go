package examples_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/examples/internal/testenv"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A fakeAgent returns the token first, and second if a request says how long the token
// has to stay valid.
type fakeAgent struct {
	agent.Service
	first, second agent.Secret
	apiURL        string

	ended chan string // the end of a sign-in: the values that it got, or "given up"
}

func (s *fakeAgent) Token(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
	token := agent.Token{Environment: "staging", IDToken: s.first, ExpiresAt: time.Now().Add(time.Hour), APIURL: s.apiURL}
	if req.MinValid == 0 {
		return token, nil
	}
	if s.second.IsZero() {
		return agent.Token{}, &agent.Error{Code: agent.CodeUsage, Environment: "staging", Message: "ask for less"}
	}
	token.IDToken = s.second
	return token, nil
}

func (s *fakeAgent) Status(context.Context) (agent.Status, error) {
	return agent.Status{Environments: []agent.EnvironmentStatus{{Name: "staging", User: "ana"}}}, nil
}

func (s *fakeAgent) Login(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error {
	answers, err := ask(ctx, agent.Challenge{
		Environment: "staging", Name: "SMS_MFA", Prompt: "Code sent to +•••• 89",
		Fields: []agent.Field{{Name: "code", Label: "Code"}},
	})
	if err != nil {
		s.ended <- "given up"
		return err
	}
	s.ended <- req.Environment + " " + req.Username + " " + req.Password.Reveal() + " " + answers["code"].Reveal()
	return nil
}

// serve serves s on a socket and returns the variable that names the socket.
func (s *fakeAgent) serve(t *testing.T) (env string) {
	t.Helper()
	path := filepath.Join(testsocket.ShortDir(t), "s")
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var served sync.WaitGroup
	served.Go(func() {
		if err := (&ipc.Server{Service: s}).Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); served.Wait() })
	return "KYC_AGENT_SOCK=" + path
}

// realToken signs in again at env's pool and returns the ID token.
func realToken(t *testing.T, env *testenv.Env) agent.Secret {
	t.Helper()
	if err := env.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := run(t, env, []string{"kyc-token"})
	if r.code != 0 {
		t.Fatalf("kyc-token: %+v", r)
	}
	return agent.NewSecret(strings.TrimSpace(r.stdout))
}

// A binding is a library in this folder, with the same programs written for each: post
// sends one POST to the URL in $URL (else to /kyc) and prints its status.
type binding struct {
	name       string
	argv       func(code string) func(*testing.T) []string
	post       string
	login      string // signs in, with a code if asked for one; empty if the library cannot sign in
	unattended string // signs in without being able to answer
}

var bindings = []binding{
	{
		name: "python",
		argv: func(code string) func(*testing.T) []string { return python("-c", code) },
		post: `
import os, requests
from kyc_auth import AgentError
from kyc_auth.requests import KycAuth
s = requests.Session()
s.auth = KycAuth()
try:
    url = os.environ.get("URL") or s.auth.api_url + "/kyc"
    print(s.post(url, json={"subject": {"full_name": "Jane Roe"}, "list_name": "ofac"}, timeout=30).status_code)
except AgentError as e:
    print(e.code, e)
`,
		login: `
from kyc_auth import CognitoAuth
CognitoAuth("staging").login("ana", "pa55", lambda c: {c["inputs"][0]["name"]: "123456"})
print("in")
`,
		unattended: `
from kyc_auth import AgentError, CognitoAuth
try:
    CognitoAuth("staging").login("ana", "pa55")
except AgentError as e:
    print(e.code, e)
`,
	},
	{
		name: "httpx",
		argv: func(code string) func(*testing.T) []string { return python("-c", code) },
		post: `
import os, httpx
from kyc_auth import AgentError
from kyc_auth.httpx import KycAuth
with httpx.Client(auth=KycAuth(), follow_redirects=True, timeout=30) as client:
    try:
        url = os.environ.get("URL") or client.auth.api_url + "/kyc"
        print(client.post(url, json={"subject": {"full_name": "Jane Roe"}, "list_name": "ofac"}).status_code)
    except AgentError as e:
        print(e.code, e)
`,
	},
	{
		name: "httpx, async",
		argv: func(code string) func(*testing.T) []string { return python("-c", code) },
		post: `
import asyncio, os, httpx
from kyc_auth import AgentError
from kyc_auth.httpx import KycAuth
async def main():
    async with httpx.AsyncClient(auth=KycAuth(), follow_redirects=True, timeout=30) as client:
        url = os.environ.get("URL") or client.auth.api_url + "/kyc"
        print((await client.post(url, json={"subject": {"full_name": "Jane Roe"}, "list_name": "ofac"})).status_code)
try:
    asyncio.run(main())
except AgentError as e:
    print(e.code, e)
`,
	},
	{
		name: "httpie",
		argv: func(code string) func(*testing.T) []string { return httpie("-c", code) },
		// HTTPie shows the text of an error but not its code.
		post: `
url=${URL:-$(kyc-token -f json | sed 's/.*"api_url":"\([^"]*\)".*/\1/')/kyc}
http --ignore-stdin --follow --headers -A kyc "$url" subject[full_name]="Jane Roe" list_name=ofac 2>&1 |
  sed -n -e '1s/^HTTP[^ ]* \([0-9]*\) .*/\1/p' -e 's/^http: .*AgentError: /denied /p'
`,
	},
	{
		name: "javascript",
		argv: func(code string) func(*testing.T) []string { return nodeCode(code) },
		post: `
import { kycFetch } from 'kyc-auth'
const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"subject":{"full_name":"Jane Roe"},"list_name":"ofac"}' }
try {
  console.log((await kycFetch(process.env.URL || '/kyc', init)).status)
} catch (err) {
  console.log(err.code, err.message)
}
`,
		login: `
import { CognitoAuth } from 'kyc-auth'
await new CognitoAuth('staging').login('ana', 'pa55', (c) => ({ [c.inputs[0].name]: '123456' }))
console.log('in')
`,
		unattended: `
import { CognitoAuth } from 'kyc-auth'
await new CognitoAuth('staging').login('ana', 'pa55').catch((err) => console.log(err.code, err.message))
`,
	},
}

// expect runs code and checks that it prints want.
func (b binding) expect(t *testing.T, env *testenv.Env, code, want string, extra ...string) {
	t.Helper()
	r := run(t, env, b.argv(code)(t), extra...)
	if r.code != 0 || strings.TrimSpace(r.stdout) != want {
		t.Errorf("want %q, have %+v", want, r)
	}
}

// TestAsksAgainOn401 checks that a library repeats a request once after a 401, with a
// newer token.
func TestAsksAgainOn401(t *testing.T) {
	env := newEnv(t)
	first, second := realToken(t, env), realToken(t, env)
	for _, b := range bindings {
		for _, c := range []struct {
			name   string
			second agent.Secret
			refuse int
			says   string
			want   []int
		}{
			{"refused once", second, 1, "200", []int{401, 200}},
			{"refused always", second, 5, "401", []int{401, 401}},
			{"no newer token", agent.Secret{}, 1, "401", []int{401}},
			{"not refused", second, 0, "200", []int{200}},
		} {
			t.Run(b.name+"/"+c.name, func(t *testing.T) {
				service := &fakeAgent{first: first, second: c.second, apiURL: env.APIURL}
				before := len(env.API.Calls())
				env.API.RefuseNext(c.refuse)
				defer env.API.RefuseNext(0)
				b.expect(t, env, b.post, c.says, service.serve(t))
				if got := statuses(env.API.Calls()[before:]); !slices.Equal(got, c.want) {
					t.Errorf("the API answered %v, want %v", got, c.want)
				}
			})
		}
	}
}

// TestAsksAgainOn429 checks that a library repeats a request once after the time that the
// API asks for, if that is not too long.
func TestAsksAgainOn429(t *testing.T) {
	t.Parallel()
	env := newSignedInEnv(t)
	for _, b := range bindings {
		t.Run(b.name, func(t *testing.T) {
			for _, c := range []struct {
				name string
				set  func()
				says string
				want []int
			}{
				{"Retry-After", func() { env.API.ThrottleNext(1, time.Second) }, "200", []int{429, 200}},
				{"Retry-After, twice", func() { env.API.ThrottleNext(2, 0) }, "429", []int{429, 429}},
				{"Retry-After, an hour", func() { env.API.ThrottleNext(1, time.Hour) }, "429", []int{429}},
				{"X-RateLimit-Reset", func() { env.API.Limit(0, time.Hour) }, "429", []int{429}},
				{"retry_after in the body", func() { env.API.Firewall(true); env.API.ThrottleNext(1, time.Second) }, "200", []int{429, 200}},
				{"retry_after in the body, an hour", func() { env.API.Firewall(true); env.API.ThrottleNext(1, time.Hour) }, "429", []int{429}},
			} {
				before := len(env.API.Calls())
				c.set()
				b.expect(t, env, b.post, c.says)
				env.API.ThrottleNext(0, 0)
				env.API.Limit(1000, time.Minute)
				env.API.Firewall(false)
				if got := statuses(env.API.Calls()[before:]); !slices.Equal(got, c.want) {
					t.Errorf("%s: the API answered %v, want %v", c.name, got, c.want)
				}
			}
		})
	}
}

// TestNeverAsksAgainOn429 checks that a program can do without the wait.
func TestNeverAsksAgainOn429(t *testing.T) {
	t.Parallel()
	env := newSignedInEnv(t)
	for _, b := range bindings {
		code := strings.NewReplacer("KycAuth()", "KycAuth(max_wait=0)", "init))", "init, undefined, { maxWait: 0 }))").Replace(b.post)
		if code == b.post {
			continue // HTTPie's plugin has no options
		}
		t.Run(b.name, func(t *testing.T) {
			before := len(env.API.Calls())
			env.API.ThrottleNext(1, time.Second)
			b.expect(t, env, code, "429")
			if got := statuses(env.API.Calls()[before:]); !slices.Equal(got, []int{429}) {
				t.Errorf("the API answered %v", got)
			}
		})
	}
}

// TestRateLimitReset checks that kycFetch waits for the end of the window where the API
// names nothing else. TestRetryAfter checks the same for Python.
func TestRateLimitReset(t *testing.T) {
	t.Parallel()
	env := newSignedInEnv(t)
	env.API.Limit(1, 5*time.Second)
	twice := nodeCode(`
import { kycFetch } from 'kyc-auth'
console.log((await kycFetch('/kyc', { method: 'POST' })).status, (await kycFetch('/kyc', { method: 'POST' })).status)
`)
	expectLines(t, run(t, env, twice(t)), "415 415")
	if got := statuses(env.API.Calls()); !slices.Equal(got, []int{415, 429, 415}) {
		t.Errorf("the API answered %v", got)
	}
}

// TestRetryAfter checks how the header is read.
func TestRetryAfter(t *testing.T) {
	env := newEnv(t)
	argv := python("-c", `
import email.utils, time
from kyc_auth._retry import wait_after
soon = email.utils.formatdate(time.time() + 20, usegmt=True)
reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 20)}
for h in {"Retry-After": "20"}, {"Retry-After": soon}, reset, {**reset, "Retry-After": "soon"}:
    print(15 < wait_after(h, 30) <= 20, wait_after(h, 10))
past = email.utils.formatdate(time.time() - 20, usegmt=True)
for h in {}, {"Retry-After": "-1"}, {"Retry-After": "soon"}, {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "1"}, {"Retry-After": past}:
    print(wait_after(h, 30))
for body in b'{"retry_after": 20}', b'{"retry_after": 0.5}', b'{"retry_after": 1e999}', b'{"retry_after": -1}', b'{"retry_after": "x"}', b'[1]', b'[' * 100000:
    print(wait_after({}, 30, body))
print(wait_after({"Retry-After": "7"}, 30, b'{"retry_after": 20}'), wait_after(reset, 60, b'{"retry_after": 50}'))
`)
	expectLines(t, run(t, env, argv(t)), "True None", "True None", "True None", "True None", "None", "None", "None", "None", "0.0",
		"20.0", "0.5", "None", "None", "None", "None", "None", "7.0 50.0")
}

// TestOtherOrigin checks that no other server gets a token, neither by a direct request
// nor by a redirect from the API.
func TestOtherOrigin(t *testing.T) {
	env := newEnv(t)
	token, newer := realToken(t, env), realToken(t, env)
	var other headerRecorder
	foreign := httptest.NewServer(&other)
	defer foreign.Close()
	// Another name for the same address, because hosts are compared by name.
	_, port, _ := net.SplitHostPort(foreign.Listener.Addr().String())
	redirect := httptest.NewServer(http.RedirectHandler("http://localhost:"+port+"/kyc", http.StatusTemporaryRedirect))
	defer redirect.Close()

	for _, b := range bindings {
		t.Run(b.name+"/direct", func(t *testing.T) {
			service := &fakeAgent{first: token, second: token, apiURL: env.APIURL}
			url := foreign.URL + "/kyc"
			b.expect(t, env, b.post, "denied "+url+" is not at "+env.APIURL+": no token for it", service.serve(t), "URL="+url)
			if got := other.take(); len(got) != 0 {
				t.Errorf("the other server got a request with %q", got)
			}
		})
		t.Run(b.name+"/redirect", func(t *testing.T) {
			service := &fakeAgent{first: token, second: newer, apiURL: redirect.URL}
			b.expect(t, env, b.post, "401", service.serve(t))
			if got := other.take(); !slices.Equal(got, []string{""}) {
				t.Errorf("the other server got the Authorization headers %q, want one request without one", got)
			}
		})
	}
}

// A headerRecorder records the Authorization headers that it gets, and answers 401.
type headerRecorder struct {
	mu  sync.Mutex
	got []string
}

func (h *headerRecorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, r.Header.Get("Authorization"))
	w.WriteHeader(http.StatusUnauthorized)
}

func (h *headerRecorder) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.got = nil }()
	return h.got
}

// TestNetrc checks that an entry in ~/.netrc does not replace the token. It does replace
// the plain header, as the comment in get_authorization_header warns.
func TestNetrc(t *testing.T) {
	env := newSignedInEnv(t)
	netrc := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(netrc, []byte("machine 127.0.0.1 login mallory password x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, b := range bindings {
		t.Run(b.name, func(t *testing.T) { b.expect(t, env, b.post, "200", "NETRC="+netrc) })
	}
	bindings[0].expect(t, env, `
import requests
from kyc_auth import CognitoAuth
auth = CognitoAuth()
url = auth.get_token()["api_url"] + "/kyc"
print(requests.post(url, json={}, headers={"Authorization": auth.get_authorization_header()}, timeout=30).status_code)
`, "401", "NETRC="+netrc)
}

func TestLoginByLibrary(t *testing.T) {
	for _, b := range bindings {
		if b.login == "" {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			env := newEnv(t)
			service := &fakeAgent{first: agent.NewSecret("eyJ.eyJ.x"), ended: make(chan string, 1)}
			socket := service.serve(t)
			b.expect(t, env, b.login, "in", socket)
			if got := <-service.ended; got != "staging ana pa55 123456" {
				t.Errorf("the agent got %q", got)
			}
			b.expect(t, env, b.unattended, "login_required Authentication failed: Cognito asks for more (SMS_MFA); run: kyc-agentd login staging", socket)
			if got := <-service.ended; got != "given up" {
				t.Errorf("a sign-in whose question nobody answers ended with %q", got)
			}

			wrong := run(t, env, b.argv(b.unattended)(t)) // at the environment's own agent, which knows no ana
			if !strings.Contains(wrong.stdout, "Invalid username or password") {
				t.Errorf("want the message of the API's guide, have %+v", wrong)
			}
			right := strings.NewReplacer("ana", testenv.User, "pa55", testenv.Password).Replace(b.login)
			b.expect(t, env, right, "in")
			b.expect(t, env, b.post, "200")
		})
	}
}

// TestNoTokenInSight checks that during a request to the API the token is in no command
// line, which every user of the machine can read, and in no environment.
func TestNoTokenInSight(t *testing.T) {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("no /proc on this system")
	}
	env := newSignedInEnv(t)
	var mu sync.Mutex // the API's goroutine writes, this one reads
	var looked, seen []string
	env.API.Before(func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
			files, _ := filepath.Glob(pattern)
			for _, file := range files {
				text, _ := os.ReadFile(file) // processes come and go
				looked = append(looked, filepath.Base(file))
				if token != "" && strings.Contains(string(text), token) {
					seen = append(seen, file+": "+strings.ReplaceAll(string(text[:min(len(text), 80)]), "\x00", " "))
				}
			}
		}
	})
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			mu.Lock()
			looked, seen = nil, nil
			mu.Unlock()
			if r := run(t, env, e.argv(t)); r.code != 0 {
				t.Errorf("%+v", r)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(looked) == 0 {
				t.Error("nothing was looked at")
			}
			for _, place := range seen {
				t.Errorf("the token is in %s", place)
			}
		})
	}
}
