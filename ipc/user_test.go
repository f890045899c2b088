package ipc

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// anaOnly is a service at which ana is signed in, everywhere.
func anaOnly() *scripted {
	check := func(req agent.TokenRequest) error {
		if req.User == "" || req.User == "ana@example.com" {
			return nil
		}
		return &agent.Error{Code: agent.CodeDenied, Environment: "prod", Message: "signed in as somebody else", Hint: "run: kyc-agentd login prod"}
	}
	return &scripted{
		status: hosted().status,
		token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
			return fixture.Token("prod"), check(req)
		},
		aws: func(_ context.Context, req agent.TokenRequest) (agent.AWSCredentials, error) {
			c := agent.AWSCredentials{
				Environment: "prod", User: "ana@example.com", AccessKeyID: "AKIA1", SecretAccessKey: agent.NewSecret("s"), SessionToken: agent.NewSecret("t"),
			}
			return c, check(req)
		},
	}
}

// A request for one user's token or credentials never gets another's, in no format and by no
// protocol, and every answer names the user.
func TestUserIsPinned(t *testing.T) {
	ln := serveMem(t, anaOnly())
	token := func(format string) func(user string) string {
		return func(user string) string {
			return rawRequest(http.MethodGet, "/v1/token?env=prod&format="+format+user, "", textPlain)
		}
	}
	help := func(protocol, body string) func(user string) string {
		return func(user string) string { return helperRequestOf(protocol+"?env=prod"+user, body, textPlain) }
	}
	for name, request := range map[string]func(user string) string{
		"token": token("token"), "json": token("json"), "curl": token("curl"), "aws": token("aws"),
		"exec": help("exec", ""), "bazel": help("bazel", `{"uri":"https://kyc.legaltalent.ai"}`),
		"git":       help("git", gitCapable+"protocol=https\nhost=kyc.legaltalent.ai\n"),
		"terraform": help("terraform", "kyc.legaltalent.ai"), "goauth": help("goauth", ""), "k8s": help("k8s", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`),
	} {
		for _, user := range []string{"", "&user=ana%40example.com"} {
			if a := ask(t, ln, request(user)); a.StatusCode != http.StatusOK || a.Header.Get("Kyc-User") != "ana@example.com" {
				t.Errorf("%s%s: %d %q, user %q", name, user, a.StatusCode, a.body, a.Header.Get("Kyc-User"))
			}
		}
		if a := ask(t, ln, request("&user=bob")); a.StatusCode != http.StatusForbidden || !strings.HasSuffix(a.body, "run: kyc-agentd login prod\n") {
			t.Errorf("%s for bob: %d %q", name, a.StatusCode, a.body)
		}
		// An unset variable must not select anybody.
		if a := ask(t, ln, request("&user=")); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "user is empty") {
			t.Errorf("%s for nobody: %d %q", name, a.StatusCode, a.body)
		}
	}
}

// Over the socket a Client pins the user as the agent does.
func TestClientPinsTheUser(t *testing.T) {
	c := &Client{Dial: serveMem(t, anaOnly()).Dial}
	got, err := c.Token(t.Context(), agent.TokenRequest{User: "ana@example.com"})
	if err != nil || got.User != "ana@example.com" || got.Subject != "7d1f" {
		t.Errorf("%+v %v", got, err)
	}
	_, err = c.Token(t.Context(), agent.TokenRequest{User: "bob"})
	fixture.WantError(t, err, agent.CodeDenied, "somebody else")
	_, err = c.AWSCredentials(t.Context(), agent.TokenRequest{User: "bob"})
	fixture.WantError(t, err, agent.CodeDenied, "somebody else")

	a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
	c = &Client{Dial: serveMem(t, a).Dial}
	login := agent.LoginRequest{Environment: "staging", Username: agenttest.User, Password: agent.NewSecret(agenttest.Password)}
	if err := c.Login(t.Context(), login, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Token(t.Context(), agent.TokenRequest{Environment: "staging", User: agenttest.User}); err != nil {
		t.Error(err)
	}
	_, err = c.Token(t.Context(), agent.TokenRequest{Environment: "staging", User: "bob"})
	fixture.WantError(t, err, agent.CodeDenied, "bob", "run: kyc-agentd login staging")
}

// An agent that does not know the parameter refuses it, and says which version it is.
func TestUserAtAnOlderAgent(t *testing.T) {
	_, err := parseQuery("env=prod&user=ana", []string{"env", "format", "min_valid"})
	c := &Client{Version: "v2", Dial: serveMem(t, failing(err)).Dial}
	_, err = c.Token(t.Context(), agent.TokenRequest{Environment: "prod", User: "ana"})
	fixture.WantError(t, err, agent.CodeUsage, `unknown query parameter "user"`, "the agent is of an older version", "restart kyc-agentd.service")
}

// The user in the log is one line, whatever Cognito calls them.
func TestUserInTheLog(t *testing.T) {
	ln, log := serveLogged(t, &Server{Service: &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) {
		token := fixture.Token("prod")
		token.User = "ana\r\nX: y\x1b[2J"
		return token, nil
	}}})
	if _, err := (&Client{Dial: ln.Dial}).Token(t.Context(), agent.TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	if line := log(); !strings.Contains(line, `user="ana  X: y?[2J"`) {
		t.Errorf("%q", line)
	}
}
