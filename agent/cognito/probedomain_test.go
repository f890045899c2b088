package cognito_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// domainOf configures a sign-in with a browser at srv.
func domainOf(srv *cognitotest.Server) agent.Environment {
	env := environment(srv)
	env.Domain, env.RedirectURIs = srv.Domain(), []string{"http://localhost:8765/callback", "http://127.0.0.1:8766/callback"}
	srv.Set(cognitotest.RedirectURIs(env.RedirectURIs...))
	return env
}

func TestProbeDomain(t *testing.T) {
	// another answers instead of the domain, with a status and a Location or a page.
	another := func(status int, location, page string) func(*cognitotest.Server, *agent.Environment) {
		return func(_ *cognitotest.Server, e *agent.Environment) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if location != "" {
					w.Header().Set("Location", strings.NewReplacer("{uri}", r.FormValue("redirect_uri"), "{state}", r.FormValue("state")).Replace(location))
				}
				w.WriteHeader(status)
				fmt.Fprint(w, page)
			}))
			t.Cleanup(srv.Close)
			e.Domain = srv.URL
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*cognitotest.Server, *agent.Environment)
		kind  cognito.ProblemKind
		says  string
	}{
		{"all is well", func(*cognitotest.Server, *agent.Environment) {}, "", ""},
		{"an identity provider", func(_ *cognitotest.Server, e *agent.Environment) { e.IdentityProvider = "Okta" }, "", ""},
		{"another app client", func(_ *cognitotest.Server, e *agent.Environment) { e.ClientID = "0ther" }, cognito.ProblemClient, "does not take the app client 0ther"},
		{"one callback URL that is not registered", func(s *cognitotest.Server, e *agent.Environment) {
			s.Set(cognitotest.RedirectURIs(e.RedirectURIs[1]))
		}, cognito.ProblemRedirect, "does not have the callback URL http://localhost:8765/callback; "},
		{"none that is", func(s *cognitotest.Server, _ *agent.Environment) { s.Set(cognitotest.RedirectURIs()) }, cognito.ProblemRedirect, "http://localhost:8765/callback, http://127.0.0.1:8766/callback; "},
		{"a scope that is not allowed", func(_ *cognitotest.Server, e *agent.Environment) { e.Scopes = []string{"openid", "moon"} }, cognito.ProblemRefused, "refused the sign-in (invalid_scope)"},
		{"nobody there", func(s *cognitotest.Server, _ *agent.Environment) { s.Close() }, cognito.ProblemConnection, "refused"},
		{"no TLS", func(s *cognitotest.Server, e *agent.Environment) {
			e.Domain = strings.Replace(s.URL, "http:", "https:", 1)
		}, cognito.ProblemTLS, "does not speak TLS"},
		{"plain http elsewhere", func(_ *cognitotest.Server, e *agent.Environment) { e.Domain = "http://login.example" }, cognito.ProblemSetting, "domain"},
		{"no such page", another(404, "", "not found"), cognito.ProblemAnswer, "answered HTTP 404 instead of sending the browser to a sign-in page"},
		{"a web site", another(200, "", "client redirect_uri"), cognito.ProblemAnswer, "answered HTTP 200 instead"},
		{"a gateway", another(502, "", ""), cognito.ProblemAnswer, "answered HTTP 502"},
		{"too many requests", another(429, "", ""), cognito.ProblemThrottled, "HTTP 429"},
		{"a redirect to nowhere", another(302, "", ""), cognito.ProblemAnswer, "answered HTTP 302 instead"},
		{"an identity provider at once", another(302, "https://idp.example/saml?SAMLRequest=x", ""), "", ""},
		{"Cognito's page for errors", another(302, "/error?error=redirect_mismatch&client_id=x", ""), cognito.ProblemRedirect, "callback URL"},
		{"the same for another reason", another(302, "/error?error=%1b%5b31mx", ""), cognito.ProblemClient, "does not take the app client"},
		{"an error without a state", another(302, "{uri}?error=unauthorized_client", ""), cognito.ProblemRefused, "(no reason)"},
		{"an error that is text", another(302, "{uri}?error=%1b%5b31mx&state={state}", ""), cognito.ProblemRefused, "(an error with an invalid name)"},
		{"a page for a callback URL", another(400, "", "<p>invalid redirect_uri</p>"), cognito.ProblemRedirect, "callback URL"},
		{"a page for a client", another(400, "", "<p>Invalid client</p>"), cognito.ProblemClient, "does not take the app client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t)
			env := domainOf(srv)
			tt.spoil(srv, &env)
			wantFault(t, cognito.New(cognito.Options{}).ProbeDomain(t.Context(), env), tt.kind, tt.says)
			if n := srv.Calls(cognitotest.APICall) + srv.Calls(cognitotest.TokenEndpoint); n != 0 {
				t.Errorf("%d calls beside the page", n)
			}
		})
	}
}
