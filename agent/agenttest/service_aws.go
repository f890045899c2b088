package agenttest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

func credentials(t *testing.T, s agent.Service, req agent.TokenRequest) agent.AWSCredentials {
	t.Helper()
	c, err := s.AWSCredentials(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if c.AccessKeyID == "" || c.SecretAccessKey.IsZero() || c.SessionToken.IsZero() {
		t.Fatal("half of the credentials, no error")
	}
	return c
}

func testAWS(t *testing.T, s agent.Service, p *Authenticator) {
	prod := agent.TokenRequest{Environment: "prod"}
	_, err := s.AWSCredentials(t.Context(), prod)
	want(t, err, agent.CodeLoginRequired, "prod", "prod: not signed in; run: kyc-agentd login prod")
	Login(t, s, "prod")
	c := credentials(t, s, prod)
	tok := token(t, s, prod)
	if c.Environment != "prod" || c.SessionToken.Reveal() != "session."+tok.IDToken.Reveal() {
		t.Errorf("credentials of %q with the session token %q", c.Environment, c.SessionToken.Reveal())
	}
	if left := time.Until(c.ExpiresAt); left < 58*time.Minute || left > 59*time.Minute {
		t.Errorf("%s left of credentials for an hour, want it a minute early", left)
	}
	if again := credentials(t, s, prod); again.AccessKeyID != c.AccessKeyID {
		t.Error("a second request got others")
	}
	_, err = s.AWSCredentials(t.Context(), agent.TokenRequest{Environment: "prod", MinValid: 2 * time.Hour})
	want(t, err, agent.CodeUsage, "prod", "min_valid 2h0m0s", "59m0s")
	if n := p.Exchanges(); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
	Login(t, s, "prod")
	if again := credentials(t, s, prod); again.AccessKeyID == c.AccessKeyID {
		t.Error("the credentials of the sign-in before")
	}
	if err := s.Logout(t.Context(), agent.LogoutRequest{Environment: "prod"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.AWSCredentials(t.Context(), prod)
	want(t, err, agent.CodeLoginRequired, "prod", "not signed in")
}

func testAWSRefused(t *testing.T, s agent.Service, p *Authenticator) {
	_, err := s.AWSCredentials(t.Context(), agent.TokenRequest{})
	want(t, err, agent.CodeConfiguration, "staging", "identity_pool_id", "aws_role_arn", "[environments.staging]", "kyc-agentd reload")
	_, err = s.AWSCredentials(t.Context(), agent.TokenRequest{Environment: "moon"})
	want(t, err, agent.CodeUnknownEnvironment, "", `"moon"`)
	_, err = s.AWSCredentials(t.Context(), agent.TokenRequest{Environment: "prod", MinValid: -time.Second})
	want(t, err, agent.CodeUsage, "prod", "min_valid")
	err = s.Login(t.Context(), agent.LoginRequest{Environment: "prod", APIKey: agent.NewSecret("sk_live_0123456789")}, refuse)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.AWSCredentials(t.Context(), agent.TokenRequest{Environment: "prod"})
	want(t, err, agent.CodeLoginRequired, "prod", "API key", "kyc-agentd login prod")
	if n := p.Exchanges(); n != 0 {
		t.Errorf("%d exchanges for requests that cannot be met", n)
	}
	Login(t, s, "prod")
	denied := &agent.Error{Code: agent.CodeDenied, Op: "aws", Environment: "prod", Message: "the role does not trust it", Hint: "ask an administrator"}
	p.SetAWS(func(r *AWSRules) { r.Exchange = func(int, string) error { return denied } })
	for range 3 { // the second and third come from memory
		_, err = s.AWSCredentials(t.Context(), agent.TokenRequest{Environment: "prod"})
		want(t, err, agent.CodeDenied, "prod", "the role does not trust it; ask an administrator")
	}
	if n := p.Exchanges(); n != 1 {
		t.Errorf("%d exchanges pressed on a refusal, want 1", n)
	}
	token(t, s, agent.TokenRequest{Environment: "prod"}) // whatever AWS says
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e := st.Environments[0]; !strings.Contains(e.AWSLastError, "the role does not trust it") || e.LastError != "" || e.Degraded || !e.AWSExpiresAt.IsZero() {
		t.Errorf("status %+v", e)
	}
}

func testAWSOneExchange(t *testing.T, s agent.Service, p *Authenticator) {
	p.SetAWS(func(r *AWSRules) { r.Latency = 50 * time.Millisecond })
	Login(t, s, "prod")
	var wg sync.WaitGroup
	got := make([]agent.AWSCredentials, 200)
	for i := range got {
		wg.Go(func() { got[i], _ = s.AWSCredentials(t.Context(), agent.TokenRequest{Environment: "prod"}) })
	}
	wg.Wait()
	for i := range got {
		if got[i].AccessKeyID == "" || got[i].AccessKeyID != got[0].AccessKeyID {
			t.Fatalf("request %d got no credentials, or others", i)
		}
	}
	if n := p.Exchanges(); n != 1 {
		t.Errorf("%d exchanges for %d requests at once", n, len(got))
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Environments[0].AWSExpiresAt.IsZero() {
		t.Errorf("status %+v, %v", st.Environments[0], err)
	}
}
