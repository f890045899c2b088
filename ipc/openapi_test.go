package ipc

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/helper"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

// loadSpec loads openapi.yaml and closes its objects, so that a field that the server sends
// and the spec does not have is an error. (In the spec itself answers are open, because
// fields may be added.)
func loadSpec(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	for _, schema := range doc.Components.Schemas {
		closeObjects(schema)
	}
	return doc
}

func closeObjects(ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil {
		return
	}
	s := ref.Value
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil {
		s.AdditionalProperties = openapi3.AdditionalProperties{Has: new(bool)}
	}
	for _, p := range s.Properties {
		closeObjects(p)
	}
	closeObjects(s.Items)
}

func TestSpecHasEveryRoute(t *testing.T) {
	var inSpec, inCode []string
	for path, item := range loadSpec(t).Paths.Map() {
		for method, op := range item.Operations() {
			var query []string
			for _, p := range op.Parameters {
				if p.Value.In == openapi3.ParameterInQuery {
					query = append(query, p.Value.Name)
				}
			}
			slices.Sort(query)
			inSpec = append(inSpec, method+" "+path+" "+strings.Join(query, ","))
		}
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
	doc := loadSpec(t)
	enum := func(s *openapi3.SchemaRef) (out []string) {
		for _, v := range s.Value.Enum {
			out = append(out, v.(string))
		}
		slices.Sort(out)
		return out
	}
	var codes []string
	for _, code := range wire.Codes() {
		codes = append(codes, string(code))
	}
	slices.Sort(codes)
	if got := enum(doc.Components.Schemas["Problem"].Value.Properties["code"]); !slices.Equal(got, codes) {
		t.Errorf("codes %v, in the server %v", got, codes)
	}
	states := []string{
		string(agent.StateUnknown), string(agent.StateAbsent), string(agent.StateIdle), string(agent.StateFresh),
		string(agent.StateRefreshing), string(agent.StateUnsaved), string(agent.StateRejected),
	}
	slices.Sort(states)
	if got := enum(doc.Components.Schemas["EnvironmentStatus"].Value.Properties["state"]); !slices.Equal(got, states) {
		t.Errorf("states %v, in the agent %v", got, states)
	}
	bodyOf := func(path string) openapi3.Schemas {
		return doc.Paths.Value(path).Post.RequestBody.Value.Content[wire.MediaJSON].Schema.Value.Properties
	}
	scopes := []string{string(agent.LogoutHere), string(agent.LogoutAllDevices), string(agent.LogoutLocal)}
	if got := enum(bodyOf("/v1/logout")["scope"]); !slices.Equal(got, scopes) {
		t.Errorf("scopes %q, in the agent %q", got, scopes)
	}
	actions := []string{string(agent.RecoverChange), string(agent.RecoverConfirm), string(agent.RecoverResend), string(agent.RecoverReset)}
	if got := enum(bodyOf("/v1/account")["action"]); !slices.Equal(got, actions) {
		t.Errorf("actions %q, in the agent %q", got, actions)
	}
	inCode := helper.Protocols()
	slices.Sort(inCode)
	if got := enum(doc.Paths.Value(helperPath).Parameters.GetByInAndName(openapi3.ParameterInPath, "protocol").Schema); !slices.Equal(got, inCode) {
		t.Errorf("protocols %v, in the server %v", got, inCode)
	}
	names := format.AllNames()
	slices.Sort(names)
	param := doc.Paths.Value("/v1/token").Get.Parameters.GetByInAndName(openapi3.ParameterInQuery, "format")
	if got := enum(param.Schema); !slices.Equal(got, names) {
		t.Errorf("formats %v, in the server %v", got, names)
	}
}

// A witness compares every exchange with a server with the spec.
type witness struct {
	t      *testing.T
	router routers.Router
	ln     *ipctest.Listener
	seen   map[string]bool // "GET /v1/token 200"
}

func newWitness(t *testing.T, s *Server) *witness {
	t.Helper()
	router, err := legacy.NewRouter(loadSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("application/openmetrics-text", openapi3filter.RegisteredBodyDecoder("text/plain"))
	ln := ipctest.Listen()
	serve(t, s, ln)
	return &witness{t: t, router: router, ln: ln, seen: map[string]bool{}}
}

// exchange sends a request and checks the answer, and a lawful request as well.
func (w *witness) exchange(lawful bool, method, target, body string, header ...string) answer {
	w.t.Helper()
	raw := rawRequest(method, target, body, header...)
	a := ask(w.t, w.ln, raw)
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL.Scheme, req.URL.Host = "http", wire.Host
	route, params, err := w.router.FindRoute(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, target, err)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	reqErr := openapi3filter.ValidateRequest(context.Background(), in)
	if lawful && reqErr != nil {
		w.t.Errorf("%s %s is not as described: %v", method, target, reqErr)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: a.StatusCode, Header: a.Header,
		Body: io.NopCloser(bytes.NewReader([]byte(a.body))), Options: options,
	}
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		w.t.Errorf("%s %s answers %d %q, not as described: %v", method, target, a.StatusCode, a.body, err)
	}
	w.seen[method+" "+route.Path+" "+http.StatusText(a.StatusCode)] = true
	return a
}

func TestServerIsAsDescribed(t *testing.T) {
	p := agenttest.NewAuthenticator()
	service := agenttest.NewAgent(t, p)
	w := newWitness(t, &Server{Service: service, Reload: func(context.Context) error { return nil }, Metrics: http.HandlerFunc(someMetrics)})
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
		w := newWitness(t, &Server{Service: failing(fail), Reload: func(context.Context) error { return fail }})
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
