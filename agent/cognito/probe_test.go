package cognito_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// A probe of a working pool finds no problem, with each flow and whether or not the pool hides unknown
// users. It leaves nothing behind.
func TestProbeOfTheWell(t *testing.T) {
	for _, hide := range []bool{true, false} {
		for _, flow := range []agent.AuthFlow{agent.FlowPassword, agent.FlowSRP, agent.FlowChoice, agent.FlowCustom} {
			srv := start(t, cognitotest.HideUnknownUsers(hide), cognitotest.ClientSecret("sekrit"))
			env := environment(srv)
			env.AuthFlow, env.ClientSecret = flow, fixedSecret("sekrit")
			h := cognito.New(cognito.Options{}).Probe(t.Context(), env)
			if h.SignIn != nil || h.Keys != nil || !h.Answered || h.Skew != 0 {
				t.Errorf("%s, hidden %t: %+v", flow, hide, h)
			}
			if n := srv.Calls(cognitotest.APICall); n != 1 {
				t.Errorf("%s: %d calls", flow, n)
			}
		}
	}
}

func TestProbeFinds(t *testing.T) {
	tests := []struct {
		name   string
		spoil  func(*cognitotest.Server, *agent.Environment)
		signIn cognito.ProblemKind
		keys   cognito.ProblemKind
		says   string
	}{
		{"another app client", func(_ *cognitotest.Server, e *agent.Environment) { e.ClientID = "0ther" }, cognito.ProblemClient, "", "does not know the app client 0ther"},
		{"a flow that is off", func(s *cognitotest.Server, _ *agent.Environment) { s.Set(cognitotest.Flows("USER_AUTH")) }, cognito.ProblemFlow, "", "lacks ALLOW_USER_PASSWORD_AUTH"},
		{"a secret that is not known", func(s *cognitotest.Server, _ *agent.Environment) { s.Set(cognitotest.ClientSecret("x")) }, cognito.ProblemSecret, "", "has a secret"},
		{"a flow that is none", func(_ *cognitotest.Server, e *agent.Environment) { e.AuthFlow = "magic" }, cognito.ProblemSetting, "", "auth_flow"},
		{"plain http", func(_ *cognitotest.Server, e *agent.Environment) { e.Endpoint = "http://cognito.example" }, cognito.ProblemSetting, "", "use https"},
		{"a gateway", everyCall(cognitotest.BadGateway()), cognito.ProblemAnswer, "", "answered HTTP 502"},
		{"an error of its own", everyCall(cognitotest.Internal()), cognito.ProblemAnswer, "", "internal error"},
		{"a firewall", everyCall(cognitotest.Blocked()), cognito.ProblemBlocked, "", "firewall"},
		{"too many calls", everyCall(cognitotest.Throttle()), cognito.ProblemThrottled, "", "Too many requests"},
		{"a cut connection", everyCall(cognitotest.Drop()), cognito.ProblemConnection, "", "closed the connection"},
		{"nobody there", func(s *cognitotest.Server, _ *agent.Environment) { s.Close() }, cognito.ProblemConnection, cognito.ProblemConnection, "refused"},
		{"no TLS", func(s *cognitotest.Server, e *agent.Environment) {
			e.Endpoint = strings.Replace(s.URL, "http:", "https:", 1)
		}, cognito.ProblemTLS, cognito.ProblemTLS, "does not speak TLS"},
		{"another pool", func(_ *cognitotest.Server, e *agent.Environment) { e.UserPoolID = "us-east-2_0ther" }, "", cognito.ProblemAnswer, "HTTP 404"},
		{"keys that are none", func(s *cognitotest.Server, _ *agent.Environment) {
			s.FailNext(cognitotest.JWKS, -1, cognitotest.Answer(200, "application/json", `{"keys":[]}`))
		}, "", cognito.ProblemAnswer, "cannot be used"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t)
			env := environment(srv)
			tt.spoil(srv, &env)
			h := cognito.New(cognito.Options{}).Probe(t.Context(), env)
			wantFault(t, h.SignIn, tt.signIn, tt.says)
			wantFault(t, h.Keys, tt.keys, tt.says)
		})
	}
}

func everyCall(f cognitotest.Fault) func(*cognitotest.Server, *agent.Environment) {
	return func(s *cognitotest.Server, _ *agent.Environment) { s.FailNext("InitiateAuth", -1, f) }
}

func wantFault(t *testing.T, f *cognito.Problem, kind cognito.ProblemKind, says string) {
	t.Helper()
	switch {
	case f == nil && kind == "":
	case f == nil || f.Kind != kind:
		t.Errorf("got %+v, want %q", f, kind)
	case !strings.Contains(f.Err.Error(), says) || f.Err.Hint == "":
		t.Errorf("%v; want %q and a next step", f.Err, says)
	}
}

// A wrong clock is reported, and is not a problem.
func TestProbeTellsTheTime(t *testing.T) {
	srv := start(t, cognitotest.ClockSkew(-time.Hour))
	h := cognito.New(cognito.Options{}).Probe(t.Context(), environment(srv))
	if off := h.Skew + time.Hour; h.SignIn != nil || off.Abs() > 2*time.Second {
		t.Errorf("%+v", h)
	}
}

// A probe of a hanging Cognito ends with the caller's deadline, and at the latest after callTimeout.
func TestProbeEnds(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Hour: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			srv := cognitotest.NewInMemory()
			defer srv.Close()
			srv.FailNext("InitiateAuth", -1, cognitotest.Hang())
			srv.FailNext(cognitotest.JWKS, -1, cognitotest.Hang())
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			started := time.Now()
			h := cognito.New(cognito.Options{HTTPClient: srv.Client()}).Probe(ctx, environment(srv))
			if took := time.Since(started); took != want {
				t.Errorf("took %s, want %s", took, want)
			}
			wantFault(t, h.SignIn, cognito.ProblemConnection, "no answer")
			wantFault(t, h.Keys, cognito.ProblemConnection, "no answer")
		})
	}
}
