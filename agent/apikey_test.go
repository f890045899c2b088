package agent_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// TestAPIKeysThatAreNone: an API key goes into a header, a shell and a file as it is, so that
// nothing but letters, digits and three signs are in one.
func TestAPIKeysThatAreNone(t *testing.T) {
	a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
	for _, key := range []string{
		"sk_", "SK_live", "pk_live", "sk-live", "x sk_live", `sk_a"b`, "sk_a'b", "sk_a\nb", "sk_a\r\nX: y", "sk_a b", " sk_a", "sk_a ", "sk_a\tb", "sk_a\x00b", "sk_a\x1b[2J",
		"sk_$(id)", "sk_`id`", "sk_${HOME}", "sk_a;b", "sk_a|b", "sk_a&b", "sk_a>b", "sk_a*", "sk_a?b", "sk_a/b", "sk_a\\b", "sk_a,b", "sk_a=b", "sk_a%0a", "sk_\u00e9", "sk_\uff41", "sk_a\u202eb",
		"sk_a\xffb", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "Bearer sk_live", "sk_" + strings.Repeat("a", 510),
	} {
		err := a.Login(t.Context(), agent.LoginRequest{Environment: "prod", APIKey: agent.NewSecret(key)}, nil)
		if !errors.Is(err, agent.CodeUsage) || !strings.Contains(err.Error(), "this is no API key") || len(key) > 5 && strings.Contains(err.Error(), key) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if _, err := a.Token(t.Context(), agent.TokenRequest{Environment: "prod"}); !errors.Is(err, agent.CodeLoginRequired) {
		t.Errorf("one was kept: %v", err)
	}
}
