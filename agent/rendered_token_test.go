package agent_test

import (
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// What was written with a token is kept as long as the token, and no longer.
func TestRenderedGoesWithTheToken(t *testing.T) {
	a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
	rendered := func() *agent.Rendered {
		t.Helper()
		got, err := a.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
		if err != nil || got.Rendered == nil {
			t.Fatalf("%v, %v", got.Rendered, err)
		}
		return got.Rendered
	}
	agenttest.Login(t, a, "prod")
	rendered().Keep("header", []byte("text"))
	if got := string(rendered().Text("header")); got != "text" {
		t.Errorf("of the same token %q is kept", got)
	}
	agenttest.Login(t, a, "prod")
	if got := string(rendered().Text("header")); got != "" {
		t.Errorf("of another token %q is kept", got)
	}
}
