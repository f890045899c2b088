package ipc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/helper"
	"github.com/legaltalent/kyc-agent/ipc/internal/speccheck/exchange"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

// A checker is a run of the program speccheck, with openapi.yaml.
type checker struct {
	t    testing.TB
	spec exchange.Spec
	to   *json.Encoder
	from *json.Decoder
}

func newChecker(t testing.TB) *checker {
	t.Helper()
	cmd := exec.Command(testpeer.Tool(t, "ipc/internal/speccheck"), "openapi.yaml")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("speccheck: %v", err)
		}
	})
	c := &checker{t: t, to: json.NewEncoder(in), from: json.NewDecoder(out)}
	if err := c.from.Decode(&c.spec); err != nil {
		t.Fatalf("speccheck: %v", err)
	}
	return c
}

func (c *checker) check(e exchange.Exchange) (v exchange.Verdict) {
	c.t.Helper()
	if err := errors.Join(c.to.Encode(e), c.from.Decode(&v)); err != nil {
		c.t.Fatalf("speccheck: %v", err)
	}
	return v
}

func TestSpecHasEveryRoute(t *testing.T) {
	var inSpec, inCode []string
	for _, rt := range newChecker(t).spec.Routes {
		inSpec = append(inSpec, rt.Method+" "+rt.Path+" "+strings.Join(rt.Query, ","))
	}
	for _, rt := range routes {
		inCode = append(inCode, rt.method+" "+rt.path+" "+strings.Join(rt.query, ","))
	}
	slices.Sort(inSpec)
	slices.Sort(inCode)
	if !slices.Equal(inSpec, inCode) {
		t.Errorf("openapi.yaml has\n\t%s\nthe server has\n\t%s", strings.Join(inSpec, "\n\t"), strings.Join(inCode, "\n\t"))
	}
}

func TestSpecHasEveryCodeStateAndFormat(t *testing.T) {
	enums := newChecker(t).spec.Enums
	var codes []string
	for _, code := range wire.Codes() {
		codes = append(codes, string(code))
	}
	slices.Sort(codes)
	if got := enums["Problem.code"]; !slices.Equal(got, codes) {
		t.Errorf("codes %v, in the server %v", got, codes)
	}
	states := []string{
		string(agent.StateUnknown), string(agent.StateAbsent), string(agent.StateIdle), string(agent.StateFresh),
		string(agent.StateRefreshing), string(agent.StateUnsaved), string(agent.StateRejected), string(agent.StateLocked),
	}
	slices.Sort(states)
	if got := enums["EnvironmentStatus.state"]; !slices.Equal(got, states) {
		t.Errorf("states %v, in the agent %v", got, states)
	}
	scopes := []string{string(agent.LogoutHere), string(agent.LogoutAllDevices), string(agent.LogoutLocal)}
	if got := enums["POST /v1/logout.scope"]; !slices.Equal(got, scopes) {
		t.Errorf("scopes %q, in the agent %q", got, scopes)
	}
	actions := []string{string(agent.RecoverChange), string(agent.RecoverConfirm), string(agent.RecoverResend), string(agent.RecoverReset)}
	if got := enums["POST /v1/account.action"]; !slices.Equal(got, actions) {
		t.Errorf("actions %q, in the agent %q", got, actions)
	}
	inCode := helper.Protocols()
	slices.Sort(inCode)
	if got := enums[helperPath+"?protocol"]; !slices.Equal(got, inCode) {
		t.Errorf("protocols %v, in the server %v", got, inCode)
	}
	names := format.AllNames()
	slices.Sort(names)
	if got := enums["GET /v1/token?format"]; !slices.Equal(got, names) {
		t.Errorf("formats %v, in the server %v", got, names)
	}
}

// A witness compares every exchange with a server with the spec.
type witness struct {
	t       *testing.T
	checker *checker
	ln      *ipctest.Listener
	seen    map[string]bool // "GET /v1/token OK"
}

func newWitness(t *testing.T, s *Server) *witness {
	t.Helper()
	c := newChecker(t)
	ln := ipctest.Listen()
	serve(t, s, ln)
	return &witness{t: t, checker: c, ln: ln, seen: map[string]bool{}}
}

// exchange sends a request and checks the answer, and a lawful request as well.
func (w *witness) exchange(lawful bool, method, target, body string, header ...string) answer {
	w.t.Helper()
	raw := rawRequest(method, target, body, header...)
	a := ask(w.t, w.ln, raw)
	v := w.checker.check(exchange.Exchange{Request: raw, Host: wire.Host, Status: a.StatusCode, Header: a.Header, Body: []byte(a.body)})
	if lawful && v.Request != "" {
		w.t.Errorf("%s %s is not as described: %s", method, target, v.Request)
	}
	if v.Response != "" {
		w.t.Errorf("%s %s answers %d %q, not as described: %s", method, target, a.StatusCode, a.body, v.Response)
	}
	w.seen[method+" "+v.Route+" "+http.StatusText(a.StatusCode)] = true
	return a
}

func TestServerIsAsDescribed(t *testing.T) {
	p := agenttest.NewAuthenticator()
	service := agenttest.NewAgent(t, p)
	w := newWitness(t, &Server{Service: service, Reload: func(context.Context, Passphrase, string) error { return nil }, Metrics: http.HandlerFunc(someMetrics)})
	const userLogin = `{"environment":"prod","username":"` + agenttest.User + `","password":"` + agenttest.Password + `"}`

	w.exchange(true, "GET", "/v1/status", "")
	w.exchange(true, "GET", "/v1/token?env=prod", "")
	w.exchange(true, "GET", "/v1/token?env=prod", "", textPlain)
	w.exchange(true, "GET", "/v1/token?env=prod&format=curl", "")
	w.exchange(true, "POST", "/v1/login", userLogin)
	for _, query := range []string{"", "&format=token", "&format=header", "&format=curl", "&format=json", "&format=env", "&format=k8s", "&format=google", "&format=aws", "&min_valid=5m", "&min_valid=300"} {
		w.exchange(true, "GET", "/v1/token?env=prod"+query, "")
		w.exchange(true, "GET", "/v1/token?env=prod"+query, "", textPlain)
	}
	w.exchange(true, "GET", "/v1/status", "")
	step := w.exchange(true, "POST", "/v1/login", mfaLogin).step(t)
	step = w.exchange(true, "POST", "/v1/login/"+step.ID, answers("0")).step(t)
	w.exchange(false, "POST", "/v1/login/"+step.ID, `{}`)
	w.exchange(true, "POST", "/v1/login/"+step.ID, answers(agenttest.MFACode))
	w.exchange(true, "POST", "/v1/login/"+step.ID, answers("0"))
	step = w.exchange(true, "POST", "/v1/login", mfaLogin).step(t)
	w.exchange(true, "DELETE", "/v1/login/"+step.ID, "")
	w.exchange(true, "DELETE", "/v1/login/"+step.ID, "")
	step = w.exchange(true, "POST", "/v1/login", mfaLogin).step(t)
	w.exchange(true, "POST", "/v1/login", userLogin) // ends the one before
	w.exchange(true, "GET", "/v1/login/"+step.ID, "")
	w.exchange(true, "POST", "/v1/login/"+step.ID, answers("0"))
	step = w.exchange(true, "POST", "/v1/account", resetPassword).step(t)
	w.exchange(true, "POST", "/v1/login/"+step.ID, answers(agenttest.RecoveryCode))
	w.exchange(true, "GET", "/v1/login/"+step.ID, "")
	w.exchange(true, "POST", "/v1/account", `{"action":"resend-code","username":"x"}`)
	w.exchange(false, "POST", "/v1/account", `{"action":"explode","username":"x"}`)
	w.exchange(true, "POST", "/v1/login", `{"environment":"staging","api_key":"sk_1"}`)
	for _, format := range format.Names() {
		w.exchange(true, "GET", "/v1/token?env=staging&format="+format, "")
	}
	w.exchange(true, "GET", "/v1/status", "")
	w.exchange(true, "POST", "/v1/logout", `{"environment":"prod"}`)
	w.exchange(true, "POST", "/v1/logout", `{"scope":"local"}`)
	w.exchange(true, "POST", "/v1/logout", `{"scope":"all-devices"}`)
	w.exchange(true, "POST", "/v1/logout", `{"scope":""}`)
	w.exchange(false, "POST", "/v1/logout", `{"scope":"moon"}`)
	w.exchange(true, "POST", "/v1/logout", `{}`)
	w.exchange(true, "POST", "/v1/reload", `{}`)
	w.exchange(true, "POST", "/v1/restart", "{}")
	w.exchange(true, "POST", "/v1/lock", `{"for":"8h"}`)
	w.exchange(true, "POST", "/v1/unlock", `{"passphrase":"x"}`)
	w.exchange(true, "POST", "/v1/passphrase", `{"passphrase":"x","old":"y"}`)
	w.exchange(true, "GET", "/v1/metrics", "")
	w.exchange(true, "GET", "/v1/metrics", "", "Accept: application/openmetrics-text")

	w.exchange(true, "GET", "/v1/token?env=moon", "")
	w.exchange(true, "POST", "/v1/logout", `{"environment":"moon"}`)
	w.exchange(true, "POST", "/v1/login", `{"environment":"prod","username":"x","password":"y"}`)
	w.exchange(false, "GET", "/v1/token?format=xml", "")
	for _, rt := range routes {
		target := strings.Replace(rt.path, "{id}", "none", 1)
		w.exchange(false, rt.method, target, "{}", "Origin: x")
		w.exchange(false, rt.method, target, "{}", "Origin: x", textPlain)
		w.exchange(false, rt.method, target+"?nonsense=1", "{}")
		if rt.method == "POST" {
			w.exchange(false, rt.method, target, `{"nonsense":""}`)
			w.exchange(false, rt.method, target, strings.Repeat(" ", wire.MaxBody+1))
		}
	}
	if len(w.seen) < 40 {
		t.Errorf("only %d kinds of answer were seen: %v", len(w.seen), slices.Sorted(maps.Keys(w.seen)))
	}
}

// someMetrics answers in the media type that Accept names.
func someMetrics(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", cmp.Or(r.Header.Get("Accept"), wire.MediaText))
	_, _ = io.WriteString(w, "# EOF\n")
}

// Every code is described, for every call that can return it.
func TestErrorsAreAsDescribed(t *testing.T) {
	for _, code := range wire.Codes() {
		fail := &agent.Error{Code: code, Environment: "prod", Message: "m", Hint: "h", RetryAfter: 1500 * time.Millisecond}
		w := newWitness(t, &Server{Service: failing(fail), Reload: func(context.Context, Passphrase, string) error { return fail }})
		for target, codes := range map[string][]agent.Code{
			"GET /v1/token":    nil,
			"GET /v1/status":   {agent.CodeInternal, agent.CodeUnavailable},
			"POST /v1/login":   nil,
			"POST /v1/account": nil,
			"POST /v1/logout":  nil,
			"POST /v1/reload":  {agent.CodeUsage, agent.CodeConfiguration, agent.CodeInternal, agent.CodeUnavailable},
		} {
			if codes != nil && !slices.Contains(codes, code) {
				continue
			}
			method, path, _ := strings.Cut(target, " ")
			body := map[string]string{"/v1/account": resetPassword}[path]
			if a := w.exchange(true, method, path, cmp.Or(body, "{}")); a.StatusCode != wire.StatusOf(code) {
				t.Errorf("%s %s: %d", target, code, a.StatusCode)
			}
			w.exchange(true, method, path, cmp.Or(body, "{}"), textPlain)
		}
		w.exchange(true, "GET", "/v1/token?format=curl", "")
		w.exchange(true, "GET", "/v1/token?format=google", "")
		w.exchange(true, "GET", "/v1/token?format=aws", "")
	}
}

// A sign-in can end with every code while its question waits.
func TestEndsAreAsDescribed(t *testing.T) {
	for _, code := range wire.Codes() {
		end := make(chan struct{})
		w := newWitness(t, &Server{Service: &scripted{login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
			ctx, cancel := context.WithCancel(ctx)
			go func() { <-end; cancel() }()
			_, _ = ask(ctx, agent.Challenge{Environment: "prod"})
			return &agent.Error{Code: code, Environment: "prod", Message: "m"}
		}}})
		step := w.exchange(true, "POST", "/v1/login", "{}").step(t)
		close(end)
		for _, method := range []string{"GET", "POST"} {
			if a := w.exchange(true, method, "/v1/login/"+step.ID, answers("1")); a.problem(t).Code != code {
				t.Errorf("%s after %s: %s", method, code, a.body)
			}
		}
	}
}

// An answer of the metrics handler that is not 200 is an internal error, whose text goes to
// the log and not to the client.
func TestMetricsThatFail(t *testing.T) {
	book := &testlog.Buffer{}
	w := newWitness(t, &Server{Service: &scripted{}, Logger: book.Logger(), Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "collected twice: SECRET", http.StatusInternalServerError)
	})})
	if a := w.exchange(true, "GET", "/v1/metrics", ""); a.problem(t).Code != agent.CodeInternal || strings.Contains(a.body, "SECRET") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(book.String(), `cause="collected twice: SECRET"`) {
		t.Errorf("log %s", book)
	}
}
