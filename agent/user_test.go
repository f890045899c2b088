package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// TestUser checks that an answer names its user, and that a request can insist on one.
func TestUser(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Username, r.Rotate = "7f3e-ada", true }, func(f *fixture) {
		ask := func(user string) (agent.Token, error) {
			if _, err := f.a.AWSCredentials(f.t.Context(), agent.TokenRequest{Environment: "prod", User: user}); err != nil {
				return agent.Token{}, err
			}
			return f.a.Token(f.t.Context(), agent.TokenRequest{Environment: "prod", User: user})
		}
		for range 2 {
			for _, user := range []string{"", agenttest.User, "7f3e-ada", "sub-of-" + agenttest.User} {
				tok, err := ask(user)
				if err != nil || tok.User != agenttest.User || tok.Subject != "sub-of-"+agenttest.User {
					t.Errorf("asked for %q: token of %q, %q, %v", user, tok.User, tok.Subject, err)
				}
			}
			_, err := ask(agenttest.MFAUser)
			if !errors.Is(err, agent.CodeDenied) || !strings.Contains(err.Error(), agenttest.User) || !strings.Contains(err.Error(), agenttest.MFAUser) {
				t.Errorf("asked for another: %v", err)
			}
			if st := f.status(); st.User != agenttest.User || st.Subject != "sub-of-"+agenttest.User {
				t.Errorf("status names %q, %q", st.User, st.Subject)
			}
			f.restart()
			f.must()
		}
		if err := f.a.Login(f.t.Context(), agent.LoginRequest{Environment: "prod", APIKey: agent.NewSecret("sk_live_0123456789")}, nil); err != nil {
			t.Fatal(err)
		}
		_, err := f.a.Token(f.t.Context(), agent.TokenRequest{Environment: "prod", User: agenttest.User})
		if !errors.Is(err, agent.CodeDenied) || !strings.Contains(err.Error(), "API key") {
			t.Errorf("with an API key: %v", err)
		}
	})
}

// TestAccessTokens checks that an access token is handed out only where that is configured.
func TestAccessTokens(t *testing.T) {
	inPlace(t, func(*agent.Environment) {}, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) { r.AccessLifetime = 20 * time.Minute })
		access := agent.TokenRequest{Environment: "prod", Type: agent.TypeAccess}
		_, err := f.a.Token(f.t.Context(), access)
		if !errors.Is(err, agent.CodeDenied) || !strings.Contains(err.Error(), "hand_out_access_tokens = true in [environments.prod]") {
			t.Errorf("by default: %v", err)
		}
		if tok, _ := f.must(); !tok.AccessToken.IsZero() {
			t.Error("an access token that nobody asked for")
		}
		f.configure(func(e *agent.Environment) { e.HandOutAccessTokens = true })
		tok, err := f.a.Token(f.t.Context(), access)
		if err != nil || !strings.HasPrefix(tok.AccessToken.Reveal(), "access-token-") || !strings.HasPrefix(tok.IDToken.Reveal(), "id-token-") {
			t.Fatalf("%q, %v", tok.AccessToken.Reveal(), err)
		}
		if left := time.Until(tok.ExpiresAt); left > 20*time.Minute {
			t.Errorf("an access token of 20m is handed out for %s", left)
		}
		if tok, _ := f.must(); !tok.AccessToken.IsZero() {
			t.Error("an access token that nobody asked for")
		}
		_, err = agent.Restrict(f.a, "prod").Token(f.t.Context(), access)
		if !errors.Is(err, agent.CodeDenied) {
			t.Errorf("on a socket for forwarding: %v", err)
		}
		if _, err := f.a.Token(f.t.Context(), agent.TokenRequest{Environment: "prod", Type: "refresh"}); !errors.Is(err, agent.CodeUsage) {
			t.Errorf("the refresh token: %v", err)
		}
		f.configure(func(*agent.Environment) {})
		if _, err := f.a.Token(f.t.Context(), access); !errors.Is(err, agent.CodeDenied) {
			t.Errorf("switched off again: %v", err)
		}
	})
}
