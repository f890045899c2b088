package ipc

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/helper"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A cell of the matrix is a request, and what a policy has to allow for it.
type cell struct {
	raw   string
	needs agent.Access // or one of these
}

const (
	always agent.Access = "always"
	never  agent.Access = "never"
)

// operations says what each operation of openapi.yaml needs. One that is missing fails
// TestPolicyMatrix; a query is for the whole of it.
var operations = map[string]cell{
	"GET /v1/token":              {rawRequest("GET", "/v1/token?env=staging", ""), agent.AccessToken},
	"POST /v1/helper/{protocol}": {}, // see helpersCells
	"GET /v1/status":             {rawRequest("GET", "/v1/status", ""), always},
	"POST /v1/login":             {rawRequest("POST", "/v1/login", `{"environment":"staging","username":"ana","password":"x"}`), never},
	"GET /v1/login/{id}":         {rawRequest("GET", "/v1/login/x", ""), never},
	"POST /v1/login/{id}":        {rawRequest("POST", "/v1/login/x", answers("1")), never},
	"DELETE /v1/login/{id}":      {rawRequest("DELETE", "/v1/login/x", ""), never},
	"POST /v1/account":           {rawRequest("POST", "/v1/account", resetPassword), never},
	"POST /v1/logout":            {rawRequest("POST", "/v1/logout", `{"environment":"staging"}`), never},
	"POST /v1/restart":           {rawRequest("POST", "/v1/restart", `{}`), never},
	"POST /v1/lock":              {rawRequest("POST", "/v1/lock", `{}`), never},
	"POST /v1/unlock":            {rawRequest("POST", "/v1/unlock", `{"passphrase":"x"}`), never},
	"POST /v1/passphrase":        {rawRequest("POST", "/v1/passphrase", `{"passphrase":"x"}`), never},
	"POST /v1/reload":            {rawRequest("POST", "/v1/reload", `{}`), never},
	"GET /v1/approvals":          {rawRequest("GET", "/v1/approvals", ""), never},
	"POST /v1/approvals":         {rawRequest("POST", "/v1/approvals", `{"unit":"x.service","environment":"staging"}`), never},
	"DELETE /v1/approvals":       {rawRequest("DELETE", "/v1/approvals", ""), never},
	"POST /v1/approvals/{id}":    {rawRequest("POST", "/v1/approvals/7F3K", `{}`), never},
	"DELETE /v1/approvals/{id}":  {rawRequest("DELETE", "/v1/approvals/7F3K", ""), never},
	"GET /v1/metrics":            {rawRequest("GET", "/v1/metrics", ""), never},
}

// helperBodies are requests of the protocols that need a token.
var helperBodies = map[string]string{
	"bazel":     `{"uri":"https://staging.example.com/"}`,
	"git":       "capability[]=authtype\nprotocol=https\nhost=staging.example.com\n",
	"terraform": "staging.example.com",
	"goauth":    "https://staging.example.com/",
	"k8s":       `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"}`,
	"exec":      "https://staging.example.com/",
}

// matrix returns every request, by name: all that openapi.yaml has, each format, each helper,
// and what it does not describe.
func matrix(t *testing.T) map[string]cell {
	cells := map[string]cell{}
	for _, rt := range newChecker(t).spec.Routes {
		name := rt.Method + " " + rt.Path
		c, ok := operations[name]
		if !ok {
			t.Errorf("%s has no row: say what a policy has to allow for it", name)
		}
		if c.raw != "" {
			cells[name] = c
		}
	}
	for _, protocol := range helper.Protocols() {
		body, ok := helperBodies[protocol]
		if !ok {
			t.Errorf("helper %s has no row", protocol)
		}
		cells["helper "+protocol] = cell{rawRequest("POST", "/v1/helper/"+protocol+"?env=staging", body, "Content-Type: "+wire.MediaBytes), agent.AccessToken}
		cells["helper "+protocol+" of prod"] = cell{rawRequest("POST", "/v1/helper/"+protocol+"?env=prod", strings.ReplaceAll(body, "staging", "prod"), "Content-Type: "+wire.MediaBytes), never}
	}
	for _, name := range format.AllNames() {
		needs := agent.AccessToken
		if name == "aws" {
			needs = agent.AccessAWS
		}
		cells["format "+name] = cell{rawRequest("GET", "/v1/token?env=staging&format="+name, ""), needs}
		cells["format "+name+" of prod"] = cell{rawRequest("GET", "/v1/token?env=prod&format="+name, ""), never}
		cells["format "+name+" of the default"] = cell{rawRequest("GET", "/v1/token?format="+name, ""), never} // which is prod
	}
	for _, method := range agent.APIMethods {
		cells["api "+method] = cell{toAPI(method, "/kyc", ""), agent.AccessAPI}
	}
	maps.Copy(cells, map[string]cell{
		"as text":               {rawRequest("GET", "/v1/token?env=staging", "", textPlain), agent.AccessToken},
		"access token":          {rawRequest("GET", "/v1/token?env=staging&type=access&format=json", ""), never},
		"min_valid over 30m":    {rawRequest("GET", "/v1/token?env=staging&min_valid=31m", ""), never},
		"aws, min_valid over":   {rawRequest("GET", "/v1/token?env=staging&format=aws&min_valid=31m", ""), never},
		"api of prod":           {strings.Replace(toAPI("GET", "/kyc", ""), "staging", "prod", 1), never},
		"api of nowhere":        {strings.Replace(toAPI("GET", "/kyc", ""), "staging", "moon", 1), never},
		"api of the capital":    {strings.Replace(toAPI("GET", "/kyc", ""), "staging", "STAGING", 1), agent.AccessAPI},
		"api of a dotted host":  {strings.Replace(toAPI("GET", "/kyc", ""), "staging", "staging.", 1), never},
		"the agent by the API":  {toAPI("GET", "/v1/token?env=staging", ""), agent.AccessAPI}, // it is the API's path
		"token by method GET":   {rawRequest("GET", "/v1/helper/git?env=staging", ""), never},
		"logout by an override": {rawRequest("GET", "/v1/logout", "", "X-HTTP-Method-Override: POST"), never},
		"token by an override":  {rawRequest("GET", "/v1/status", "", "X-Original-URL: /v1/token?env=staging", "X-Rewrite-URL: /v1/token"), always},
	})
	return cells
}

// columns are the sockets: the agent's own, every set of accesses, and that for forwarding.
func columns() map[string]*agent.Policy {
	all := map[string]*agent.Policy{"own": nil}
	for bits := 1; bits < 8; bits++ {
		p := &agent.Policy{Socket: "ai", Environments: []string{"staging"}}
		var names []string
		for i, a := range []agent.Access{agent.AccessToken, agent.AccessAWS, agent.AccessAPI} {
			if bits&(1<<i) != 0 {
				p.Allow, names = append(p.Allow, a), append(names, string(a))
			}
		}
		all[strings.Join(names, "+")] = p
	}
	extra := agent.ForwardingPolicy("staging")
	all["extra"] = &extra
	return all
}

const awsSecret = "aws-secret-key"

// matrixService has tokens and AWS credentials for both environments, and counts what would
// change its state.
func matrixService(api string, changes *atomic.Int32) *scripted {
	s := tokenFor(api, "staging", "prod")
	token := s.token
	s.token = func(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
		return token(ctx, agent.TokenRequest{Environment: cmp.Or(req.Environment, "prod")})
	}
	s.aws = func(context.Context, agent.TokenRequest) (agent.AWSCredentials, error) {
		return agent.AWSCredentials{Environment: "staging", AccessKeyID: "AKIA", SecretAccessKey: agent.NewSecret(awsSecret), SessionToken: agent.NewSecret("s")}, nil
	}
	s.status = func(context.Context) (agent.Status, error) {
		env := func(name string) agent.EnvironmentStatus {
			return agent.EnvironmentStatus{Name: name, APIURL: "https://" + name + ".example.com", User: "ana@example.com"}
		}
		return agent.Status{DefaultEnvironment: "prod", PID: 7, Environments: []agent.EnvironmentStatus{env("prod"), env("staging")}, Sockets: []agent.SocketStatus{{Name: "ai"}}}, nil
	}
	s.login = func(context.Context, agent.LoginRequest, agent.Prompter) error { changes.Add(1); return nil }
	s.logout = func(context.Context, agent.LogoutRequest) error { changes.Add(1); return nil }
	s.recover = func(context.Context, agent.RecoverRequest, agent.Prompter) error { changes.Add(1); return nil }
	return s
}

// TestPolicyMatrix asks every socket for everything.
func TestPolicyMatrix(t *testing.T) {
	cells := matrix(t)
	asked, allowed := 0, 0
	for column, policy := range columns() {
		t.Run(column, func(t *testing.T) {
			var changes atomic.Int32
			api := newUpstream(t, nil)
			service := matrixService(api.URL, &changes)
			s := &Server{
				Service: service, Proxy: true, Metrics: http.HandlerFunc(someMetrics),
				Reload: func(context.Context, Passphrase, string) error { changes.Add(1); return nil },
			}
			if policy != nil {
				s.Restricted = policy.Restrict(service)
			}
			ln := serveMemServer(t, s)
			for _, name := range slices.Sorted(maps.Keys(cells)) {
				c := cells[name]
				want := c.needs != never && (policy == nil || c.needs == always || policy.Allows(c.needs))
				before := strings.Count(api.wire(), "HTTP/1.1\r\n")
				a := ask(t, ln, c.raw)
				asked++
				if want {
					allowed++
				}
				if policy == nil && !want {
					continue // the agent's own socket decides by other rules
				}
				if (a.StatusCode < http.StatusBadRequest) != want {
					t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
				}
				token, aws := strings.Contains(fmt.Sprint(a.Header)+a.body, fixture.JWT), strings.Contains(a.body, awsSecret)
				hasToken := want && c.needs == agent.AccessToken && name != "format claims" // who may have a token may know what it says
				if token != hasToken || aws != (want && c.needs == agent.AccessAWS) {
					t.Errorf("%s: a token: %t, AWS credentials: %t, in %s", name, token, aws, a.body)
				}
				if forwarded := strings.Count(api.wire(), "HTTP/1.1\r\n") > before; forwarded != (want && c.needs == agent.AccessAPI) {
					t.Errorf("%s: forwarded: %t", name, forwarded)
				}
				if policy != nil && (strings.Contains(a.body, `"name":"prod"`) || strings.Contains(a.body, `"sockets"`)) {
					t.Errorf("%s tells too much: %s", name, a.body)
				}
			}
			if n := changes.Load(); policy == nil && n == 0 || policy != nil && n > 0 {
				t.Errorf("%d changes of state", n)
			}
		})
	}
	t.Logf("%d cells, %d of them allowed", asked, allowed)
}

// A unit's credential is a token.
func TestPolicyOnUnitCredentials(t *testing.T) {
	for column, policy := range columns() {
		service := matrixService("https://staging.example.com", new(atomic.Int32))
		s := &Server{Service: service}
		if policy != nil {
			s.Restricted = policy.Restrict(service)
		}
		path := serveUnixServer(t, s)
		for id, named := range map[string]bool{"kyc-token.staging": true, "kyc-token.prod": false, "kyc-token": false} {
			got, err := askAsManager(path, "@1a/unit/x.service/"+id)
			if want := policy == nil || named && policy.Allows(agent.AccessToken); err != nil || (got == fixture.JWT) != want || !want && got != "" {
				t.Errorf("%s on %s: %q, %v", id, column, got, err)
			}
		}
	}
}

// More requests than the rate are 429 with Retry-After, on all sockets that share the policy.
// Only what is handed out or forwarded counts: a status, a refusal and a failure are free, before
// the rate is used up and after.
func TestPolicyRate(t *testing.T) {
	api := newUpstream(t, nil)
	service := matrixService(api.URL, new(atomic.Int32))
	signedIn, token := false, service.token
	service.token = func(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
		if !signedIn {
			return agent.Token{}, &agent.Error{Code: agent.CodeLoginRequired, Environment: "staging", Message: "not signed in"}
		}
		return token(ctx, req)
	}
	policy := agent.Policy{
		Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessToken, agent.AccessAPI},
		Rate: agent.Rate{Count: 4, Per: 3_600_000_000_000},
	}
	r := policy.Restrict(service)
	s := &Server{Restricted: r, Proxy: true}
	first, second := serveMemServer(t, s), filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	serve(t, s, listen(t, second))
	cells := matrix(t)
	allowed := func(c cell) bool { return c.needs == agent.AccessToken || c.needs == agent.AccessAPI }
	throttled := func(c cell) bool {
		a := ask(t, first, c.raw)
		is := a.StatusCode == http.StatusTooManyRequests
		if is && (a.Header.Get("Kyc-Error") != string(agent.CodeThrottled) || a.Header.Get("Retry-After") == "") {
			t.Errorf("%.40q: %v", c.raw, a.Header)
		}
		return is
	}
	for name, c := range cells { // nothing is handed out: it is not allowed, or nobody is signed in
		if throttled(c) {
			t.Fatalf("%s: 429 before anything was handed out", name)
		}
	}
	signedIn = true
	for _, raw := range []string{rawRequest("GET", "/v1/token?env=staging", ""), toAPI("GET", "/kyc", ""), rawRequest("GET", "/v1/token?env=staging", ""), toAPI("GET", "/kyc", "")} {
		if a := ask(t, first, raw); a.StatusCode != http.StatusOK {
			t.Fatalf("early: %s", a.body)
		}
	}
	before := api.wire()
	for name, c := range cells {
		if got := throttled(c); got != allowed(c) {
			t.Errorf("%s: 429 is %v", name, got)
		}
	}
	if api.wire() != before {
		t.Error("the API was called")
	}
	if got, _ := askAsManager(second, "@1a/unit/x.service/kyc-token.staging"); got != "" {
		t.Errorf("a unit got %q", got)
	}
	if remaining, refused := r.RateState(); remaining != 0 || refused == 0 {
		t.Errorf("%d left, %d refused", remaining, refused)
	}
}

// attacked is the policy that the tests below try to get past.
func attacked(t *testing.T) agent.Policy {
	t.Helper()
	p := agent.Policy{Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}, Methods: []string{"GET", "POST"}}
	for _, text := range []string{"/kyc", "/kyc/watchlists/*", "/end"} {
		pattern, err := agent.ParsePathPattern(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Paths = append(p.Paths, pattern)
	}
	return p
}

// readings are the paths that some server reads in the target of a request.
func readings(target string) (all []string) {
	raw, _, _ := strings.Cut(target, "?")
	for range 4 {
		name, _, _ := strings.Cut(raw, "?")
		name, _, _ = strings.Cut(name, "#")
		var cut []string
		for segment := range strings.SplitSeq(name, "/") {
			segment, _, _ = strings.Cut(segment, ";")
			cut = append(cut, strings.Trim(segment, " "))
		}
		for _, p := range []string{raw, name, strings.Join(cut, "/"), strings.ReplaceAll(name, `\`, "/"), strings.ReplaceAll(name, "／", "/")} {
			all = append(all, p, path.Clean(p))
		}
		decoded, err := url.PathUnescape(raw)
		if err != nil {
			break
		}
		raw = decoded
	}
	return all
}

var allowedPath = regexp.MustCompile(`^/(kyc|end|kyc/watchlists/[^/]+)$`)

// checkArrived fails for each request on the API's wire that is past the attacked policy, for
// any reader of it. It returns how many there are.
func checkArrived(t *testing.T, wire string) (n int) {
	t.Helper()
	for _, line := range requestLine.FindAllString(wire, -1) {
		n++
		method, rest, _ := strings.Cut(line, " ")
		target, _, _ := strings.Cut(rest, " ")
		if !slices.Contains([]string{"GET", "POST", "HEAD"}, method) {
			t.Errorf("the API got the method of %q", line)
		}
		for _, reading := range readings(target) {
			if !allowedPath.MatchString(reading) {
				t.Errorf("the API got %q, which may be %q", line, reading)
			}
		}
	}
	for line := range strings.SplitSeq(wire, "\r\n") {
		name, _, found := strings.Cut(line, ":")
		if found && agent.IsOverride(name) {
			t.Errorf("the API got the header %q", line)
		}
	}
	return n
}

// TestPolicyOnOddPaths sends what a policy for a few paths and methods must not let through, each
// with the method, as a whole and as the last part of an allowed path.
func TestPolicyOnOddPaths(t *testing.T) {
	api := newUpstream(t, nil)
	socketPath := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	serve(t, &Server{Restricted: attacked(t).Restrict(tokenFor(api.URL, "staging")), Proxy: true}, listen(t, socketPath))
	ask := func(raw string) answer {
		c := fixture.DialUnix(t, socketPath)
		defer c.Close()
		return exchangeOn(t, c, raw)
	}
	sent, past := 0, 0
	targets := []string{"/kyc", "/kyc?x=../admin", "/kyc/watchlists/7?x=1", "/kyc/watchlists/7;v=1", "/kyc/watchlists/a%20b"}
	for _, odd := range []string{
		"admin", "kyc/", "kyc/watchlists", "kyc/watchlists/", "kyc/watchlists//", "kyc/watchlists//7", "//kyc", "KYC", "kyc/../admin", "kyc/./x", "kyc%2F..%2Fadmin", "%2e%2e/admin",
		"%252e%252e/admin", "..;/admin", "..%3B/admin", "..%253B/admin", ";/admin", "%3B/admin", ";x", "%3Bx", "%253Bx", "%3Fx", "%253Fx", "%23x", "%2523x", "x%2Fy", "x%252Fy", "x%25252Fy",
		"x%5Cy", `x\y`, "x%00", "x%0a", "x%0d%0aX:y", "%20", "%20/", "%09", ".", "..", "...", "%2e", "%EF%BC%8F", "x%EF%BC%8Fy", "%E2%80%A5", "%EF%BC%8E%EF%BC%8E", "%c0%ae%c0%ae", "%c0%afx",
		"%6byc", "%256byc", "kyc%20", "kyc.", "kyc;x", "kyc%3Bx", "kyc.json", "kyc%00", "*", "?", "#", "%", "%zz", "+", "7/subjects", "7/", "7;x/subjects", "7/..", "7/../7", "7%2Fsubjects", "~", "kyc#x",
		"http://staging/admin", "@admin", ":80/admin", "%u002e%u002e/admin", "%ef%bc%8f", "\xff",
	} {
		targets = append(targets, "/"+odd, "/kyc/watchlists/"+odd, "/kyc/"+odd, odd)
	}
	for _, target := range targets {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "Post", "MOVE"} {
			sent++
			if a := ask(toAPI(method, target, "")); a.StatusCode < 300 {
				past++
			}
		}
	}
	for _, header := range []string{
		"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X_HTTP_METHOD_OVERRIDE: DELETE",
		"x-http_method-override: DELETE", "X-Original-URI: /admin", "X-Forwarded-Path: /admin", "X-Forwarded-Prefix: /admin", "X-Forwarded-Uri: /admin", "X-Forwarded-Host: evil",
		"Forwarded: host=evil", "X-Envoy-Original-Path: /admin", "X-Original-Method: DELETE", "Connection: close, X-Original-URL\r\nX-Original-URL: /admin",
	} {
		if a := ask(toAPI("POST", "/kyc", "", header)); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", header, a.StatusCode, a.body)
		}
	}
	for _, query := range []string{"_method=DELETE", "a=b&_METHOD=PUT", "%5fmethod=DELETE", "X-HTTP-Method-Override=DELETE", "x_http_method_override=DELETE", "$method=DELETE", "_method[]=DELETE"} {
		if a := ask(toAPI("POST", "/kyc?"+query, "")); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", query, a.StatusCode)
		}
	}
	if n := checkArrived(t, api.wire()); n < 20 || past < 10 {
		t.Errorf("%d requests arrived, %d of these paths: the test cannot fail", n, past)
	}
	t.Logf("%d requests sent, %d of them allowed", sent, past)
}

// No bytes on the socket get a token out of one with allow = ["api"], or a request past its
// policy.
func TestPolicyOnRawBytes(t *testing.T) {
	for name, test := range rawRequests {
		t.Run(name, func(t *testing.T) {
			api := newUpstream(t, nil)
			socketPath := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
			serve(t, &Server{Restricted: attacked(t).Restrict(tokenFor(api.URL, "staging")), Proxy: true}, listen(t, socketPath))
			c := fixture.DialUnix(t, socketPath)
			go func() { _, _ = io.WriteString(c, test.raw+rawEnd) }()
			answers, _ := io.ReadAll(c)
			n := checkArrived(t, api.wire())
			if strings.Contains(string(answers), fixture.JWT) {
				t.Errorf("a token: %q", answers)
			}
			if strings.Contains(test.raw, "/own") != (n < test.requests) { // /own is not allowed
				t.Errorf("%d requests, want %d:\n%s", n, test.requests, api.wire())
			}
		})
	}
}
