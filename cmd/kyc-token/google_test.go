package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/oauth2/google/externalaccount"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A googleExchange is Google's library for Go, with a server at which it exchanges ID tokens.
type googleExchange struct {
	t         *testing.T
	sts       string
	exchanged string // the token of the last call of token, or ""
}

func newGoogleExchange(t *testing.T) *googleExchange {
	g := &googleExchange{t: t}
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.exchanged = r.FormValue("subject_token")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"a","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`))
	}))
	t.Cleanup(sts.Close)
	t.Setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
	g.sts = sts.URL
	return g
}

// token has the library run command, whose answer may be in file, for a token of that type.
func (g *googleExchange) token(command, tokenType, file string) error {
	g.exchanged = ""
	source, err := externalaccount.NewTokenSource(g.t.Context(), externalaccount.Config{
		Audience: "//iam.googleapis.com/x", SubjectTokenType: "urn:ietf:params:oauth:token-type:" + tokenType, TokenURL: g.sts,
		CredentialSource: &externalaccount.CredentialSource{Executable: &externalaccount.ExecutableConfig{Command: command, OutputFile: file}},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	_, err = source.Token()
	return err
}

// TestGoogleLibrary holds that Go's library passes on the token, and the agent's own words when
// there is none: it reads an answer at exit code 0 only.
func TestGoogleLibrary(t *testing.T) {
	exchange := newGoogleExchange(t)
	binary := testpeer.Build(t, "kyc-token")
	google := httpAnswer("200 OK", `{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:id_token","id_token":"eyJ.e30.c2ln","expiration_time":4102444800}`+"\n")
	if err := exchange.token(binary+" -socket "+agentAnswering(t, google).path+" -f google prod", "id_token", ""); err != nil || exchange.exchanged != "eyJ.e30.c2ln" {
		t.Errorf("%q, %v", exchange.exchanged, err)
	}
	refusing := serve(t, &service{err: &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in", Hint: "run: kyc-agentd login prod"}})
	for command, want := range map[string]string{
		"-socket " + refusing + " -f google prod":  "(401) prod: not signed in; run: kyc-agentd login prod",
		"-socket " + refusing + "x -f google prod": "(503) no agent answers",
		"-f google -x": "(400) no such flag: -x; run: kyc-token -h",
		"-socket " + refusing + " -f google -min-valid x": "(400) ",
	} {
		if err := exchange.token(binary+" "+command, "id_token", ""); err == nil || !strings.Contains(err.Error(), want) || exchange.exchanged != "" {
			t.Errorf("%s: %q, %v", command, exchange.exchanged, err)
		}
	}
}

// At a terminal and in a script the exit code says what failed, as with every format.
func TestGoogleLibraryAlone(t *testing.T) {
	denying := agentAnswering(t, httpAnswer("401 Unauthorized", "no\n"))
	byLibrary := func(p *process) {
		p.getenv = func(name string) string { return map[string]string{"GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE": "//iam"}[name] }
	}
	if o := run(t, byLibrary, "-socket", denying.path, "-f", "google"); o.exit != exitOK || o.stderr != "" || !strings.Contains(o.stdout, `"success":false`) {
		t.Errorf("%+v", o)
	}
	if o := run(t, nil, "-socket", denying.path, "-f", "google"); o.exit != exitDenied || o.stderr == "" {
		t.Errorf("%+v", o)
	}
	for _, format := range []string{"token", "json", "curl", "k8s"} {
		if o := run(t, byLibrary, "-socket", denying.path, "-f", format); o.exit != exitDenied || o.stderr == "" {
			t.Errorf("%s: %+v", format, o)
		}
	}
	if o := run(t, func(p *process) { byLibrary(p); p.stdout = broken{} }, "-socket", denying.path, "-f", "google"); o.exit != exitDenied {
		t.Errorf("%+v", o)
	}
}
