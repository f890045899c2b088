package ipc

import (
	"context"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// A text that is kept is the answer to the requests for it and to no others, and never one with
// the time in it.
func TestRenderedTextIsOfThisToken(t *testing.T) {
	current := fixture.Token("prod")
	current.Rendered = new(agent.Rendered)
	ln := serveMem(t, &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) { return current, nil }})
	get := func(format string) string {
		t.Helper()
		return ask(t, ln, rawRequest("GET", "/v1/token?format="+format, "")).body
	}
	formats := []string{"token", "header", "curl", "json", "env", "k8s", "google"}
	first := map[string]string{}
	for _, f := range formats {
		first[f] = get(f)
		if again := get(f); again != first[f] || !strings.Contains(again, current.IDToken.Reveal()) {
			t.Errorf("%s: %q, then %q", f, first[f], again)
		}
		if kept, want := current.Rendered.Text(f) != nil, f == "token" || f == "header" || f == "curl"; kept != want {
			t.Errorf("%s is kept: %v, want %v", f, kept, want)
		}
	}
	current.IDToken, current.Rendered = agent.NewSecret("another.token.now"), new(agent.Rendered)
	for _, f := range formats {
		if got := get(f); got == first[f] || !strings.Contains(got, "another.token.now") {
			t.Errorf("%s of another token: %q", f, got)
		}
	}
	current.IDToken, current.Rendered = agent.NewSecret("a token\nthat no header can carry"), new(agent.Rendered)
	for range 2 {
		if got := get("token"); strings.Contains(got, "a token") || !current.Rendered.Empty() {
			t.Errorf("a bad token is sent or kept: %q", got)
		}
	}
}
