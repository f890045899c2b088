package agent_test

import (
	"context"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

func TestRestrict(t *testing.T) {
	a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
	agenttest.Login(t, a, "staging")
	agenttest.Login(t, a, "prod")
	ctx := t.Context()

	r := agent.Restrict(a, "staging")
	for _, env := range []string{"", "staging"} {
		tok, err := r.Token(ctx, agent.TokenRequest{Environment: env})
		if err != nil || tok.Environment != "staging" || tok.IDToken.IsZero() {
			t.Errorf("token of %q: %v, %v", env, tok, err)
		}
	}
	if tok, err := r.Token(ctx, agent.TokenRequest{User: agenttest.User}); err != nil || tok.User != agenttest.User {
		t.Errorf("the token of %s: %v", tok.User, err)
	}
	_, err := r.Token(ctx, agent.TokenRequest{User: "grace"})
	if agent.CodeOf(err) != agent.CodeDenied || strings.Contains(err.Error(), agenttest.User) {
		t.Errorf("the token of another user: %v", err)
	}
	never := func(context.Context, agent.Challenge) (agent.Answers, error) {
		t.Error("it asked")
		return nil, context.Canceled
	}
	_, prod := r.Token(ctx, agent.TokenRequest{Environment: "prod"})
	_, unknown := r.Token(ctx, agent.TokenRequest{Environment: "nowhere"}) // must look like one that exists
	_, theDefault := agent.Restrict(a, "prod").Token(ctx, agent.TokenRequest{})
	_, aws := r.AWSCredentials(ctx, agent.TokenRequest{Environment: "staging"})
	for what, err := range map[string]error{
		"AWS credentials":     aws,
		"another environment": prod, "no environment": unknown, "the default, which is another": theDefault,
		"login":   r.Login(ctx, agent.LoginRequest{Environment: "staging", Username: agenttest.User, Password: agent.NewSecret(agenttest.Password)}, never),
		"logout":  r.Logout(ctx, agent.LogoutRequest{Environment: "staging"}),
		"recover": r.Recover(ctx, agent.RecoverRequest{Environment: "staging", Action: agent.RecoverReset, Username: agenttest.User}, never),
	} {
		if agent.CodeOf(err) != agent.CodeDenied || !strings.Contains(err.Error(), "not for this socket") {
			t.Errorf("%s: %v", what, err)
		}
	}

	key := agent.LoginRequest{Environment: "prod", APIKey: agent.NewSecret("sk_live_0123456789abcdef")}
	if err := a.Login(ctx, key, never); err != nil {
		t.Fatal(err)
	}
	if tok, err := agent.Restrict(a, "prod").Token(ctx, agent.TokenRequest{Environment: "prod"}); agent.CodeOf(err) != agent.CodeDenied || !tok.IDToken.IsZero() {
		t.Errorf("an API key: %v, %v", tok, err)
	}

	st, err := r.Status(ctx)
	if err != nil || len(st.Environments) != 1 || st.Environments[0].Name != "staging" || st.Environments[0].APIURL == "" {
		t.Fatalf("%+v, %v", st, err)
	}
	if st.Environments[0].User != "" || st.PID != 0 || !st.Environments[0].SignedInAt.IsZero() {
		t.Errorf("it tells too much: %+v", st)
	}
	if after, err := a.Status(ctx); err != nil || after.Environments[1].State != agent.StateFresh {
		t.Errorf("the sign-in is gone: %+v, %v", after, err)
	}
}
