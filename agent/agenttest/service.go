package agenttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// Environments are the two that Config configures; "staging" is the default and has no AWS
// credentials.
var Environments = []agent.Environment{
	{Name: "staging", Region: "us-east-2", UserPoolID: "us-east-2_stg", ClientID: "client-stg", APIURL: "https://stg.example.com"},
	{Name: "prod", Region: "us-east-2", UserPoolID: "us-east-2_prd", ClientID: "client-prd", APIURL: "https://prd.example.com",
		IdentityPoolID: "us-east-2:0f1c2a7e-5b3d-4c8e-9a61-7d2b8e4f6a90"},
}

// Config returns a configuration of Environments.
func Config() agent.Config {
	return agent.Config{Environments: slices.Clone(Environments), DefaultEnvironment: "staging"}
}

// NewAgent starts an agent over p with a memory store, and closes it at the end of the test.
// change may adapt the options first. If p is an Exchanger, it makes AWS credentials, too.
func NewAgent(t testing.TB, p agent.Authenticator, change ...func(*agent.Options)) *agent.Agent {
	t.Helper()
	o := agent.Options{Authenticator: p, Store: memory.New(), Config: Config(), Version: "test"}
	o.Exchanger, _ = p.(agent.Exchanger)
	for _, f := range change {
		f(&o)
	}
	a, err := agent.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

// Login signs User in, or fails the test.
func Login(t testing.TB, s agent.Service, env string) {
	t.Helper()
	err := s.Login(context.Background(), agent.LoginRequest{Environment: env, Username: User, Password: agent.NewSecret(Password)}, refuse)
	if err != nil {
		t.Fatalf("login %s: %v", env, err)
	}
}

func refuse(context.Context, agent.Challenge) (agent.Answers, error) {
	return nil, errors.New("nobody is there to answer")
}

// TestService checks that a Service behaves as its comments promise. newService returns one
// over the given provider, with Config's environments and an empty store.
func TestService(t *testing.T, newService func(t *testing.T, p *Authenticator) agent.Service) {
	for name, test := range map[string]func(*testing.T, agent.Service, *Authenticator){
		"not signed in":        testNotSignedIn,
		"unknown environment":  testUnknownEnvironment,
		"sign in and out":      testSignInAndOut,
		"default environment":  testDefaultEnvironment,
		"wrong password":       testWrongPassword,
		"usage":                testUsage,
		"challenge":            testChallenge,
		"challenge given up":   testChallengeGivenUp,
		"sign in again":        testSignInAgain,
		"refused for good":     testRefused,
		"min valid":            testMinValid,
		"one call per need":    testOneCall,
		"separate":             testSeparate,
		"caller that gives up": testGiveUp,
		"status":               testStatus,
		"API key":              testAPIKey,
		"two sign-ins at once": testTwoLogins,
		"logout scopes":        testLogoutScopes,
		"recover":              testRecover,
		"warning":              testWarning,
		"AWS credentials":      testAWS,
		"AWS refused":          testAWSRefused,
		"AWS, one exchange":    testAWSOneExchange,
	} {
		t.Run(name, func(t *testing.T) {
			p := NewAuthenticator()
			test(t, newService(t, p), p)
		})
	}
}

// want fails the test unless err has the code, the environment, and one line that contains
// all of the parts.
func want(t *testing.T, err error, code agent.Code, env string, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*agent.Error](err)
	if !ok || !errors.Is(err, code) || e.Environment != env {
		t.Fatalf("error %v (%T, code %s), want code %s of environment %q", err, err, agent.CodeOf(err), code, env)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("error %q is more than a line", err)
	}
}

func token(t *testing.T, s agent.Service, req agent.TokenRequest) agent.Token {
	t.Helper()
	tok, err := s.Token(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if tok.IDToken.IsZero() {
		t.Fatal("no ID token, no error")
	}
	return tok
}

func testNotSignedIn(t *testing.T, s agent.Service, p *Authenticator) {
	for range 2 { // the second comes from memory
		_, err := s.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
		want(t, err, agent.CodeLoginRequired, "prod", "prod: not signed in; run: kyc-agentd login prod")
	}
	if err := s.Logout(t.Context(), agent.LogoutRequest{Environment: "prod"}); err != nil {
		t.Errorf("logout of nothing: %v", err)
	}
	if n := p.Refreshes(); n != 0 {
		t.Errorf("%d calls without a sign-in", n)
	}
}

func testUnknownEnvironment(t *testing.T, s agent.Service, _ *Authenticator) {
	_, err := s.Token(t.Context(), agent.TokenRequest{Environment: "moon"})
	want(t, err, agent.CodeUnknownEnvironment, "", `"moon"`, "prod, staging")
	want(t, s.Logout(t.Context(), agent.LogoutRequest{Environment: "moon"}), agent.CodeUnknownEnvironment, "", `"moon"`)
	err = s.Login(t.Context(), agent.LoginRequest{Environment: "moon", Username: "x", Password: agent.NewSecret("y")}, refuse)
	want(t, err, agent.CodeUnknownEnvironment, "", `"moon"`)
}

func testSignInAndOut(t *testing.T, s agent.Service, p *Authenticator) {
	Login(t, s, "prod")
	tok := token(t, s, agent.TokenRequest{Environment: "prod"})
	if tok.Environment != "prod" || tok.APIURL != "https://prd.example.com" {
		t.Errorf("token of %q for %q", tok.Environment, tok.APIURL)
	}
	if left := time.Until(tok.ExpiresAt); left < 59*time.Minute || left > time.Hour+time.Second {
		t.Errorf("%s left of a new one-hour token", left)
	}
	if again := token(t, s, agent.TokenRequest{Environment: "prod"}); !again.IDToken.Equal(tok.IDToken) {
		t.Error("a second request got another token")
	}
	if err := s.Logout(t.Context(), agent.LogoutRequest{Environment: "prod"}); err != nil {
		t.Fatal(err)
	}
	if p.Live() != 0 {
		t.Error("the refresh token was not revoked")
	}
	_, err := s.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	want(t, err, agent.CodeLoginRequired, "prod", "not signed in")
}

func testDefaultEnvironment(t *testing.T, s agent.Service, _ *Authenticator) {
	Login(t, s, "")
	if tok := token(t, s, agent.TokenRequest{}); tok.Environment != "staging" {
		t.Errorf("token of %q", tok.Environment)
	}
	if err := s.Logout(t.Context(), agent.LogoutRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Token(t.Context(), agent.TokenRequest{Environment: "staging"})
	want(t, err, agent.CodeLoginRequired, "staging")
}

func testWrongPassword(t *testing.T, s agent.Service, p *Authenticator) {
	Login(t, s, "prod")
	first := token(t, s, agent.TokenRequest{Environment: "prod"})
	err := s.Login(t.Context(), agent.LoginRequest{Environment: "prod", Username: User, Password: agent.NewSecret("Wr0ng!")}, refuse)
	want(t, err, agent.CodeLoginRequired, "prod", "Invalid username or password", "kyc-agentd login prod")
	if strings.Contains(err.Error(), "Wr0ng!") {
		t.Error("the password is in the error")
	}
	if tok := token(t, s, agent.TokenRequest{Environment: "prod"}); !tok.IDToken.Equal(first.IDToken) || p.Live() != 1 {
		t.Error("a failed sign-in touched the one that was there")
	}
}

func testUsage(t *testing.T, s agent.Service, _ *Authenticator) {
	err := s.Login(t.Context(), agent.LoginRequest{Environment: "prod"}, refuse)
	want(t, err, agent.CodeUsage, "prod", "user name", "password")
	_, err = s.Token(t.Context(), agent.TokenRequest{Environment: "prod", MinValid: -time.Second})
	if !errors.Is(err, agent.CodeUsage) {
		t.Errorf("a negative min_valid: %v", err)
	}
}

func testChallenge(t *testing.T, s agent.Service, _ *Authenticator) {
	var asked []agent.Challenge
	codes := []string{"000000", MFACode}
	ask := func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		asked = append(asked, c)
		return agent.Answers{c.Fields[0].Name: agent.NewSecret(codes[len(asked)-1])}, nil
	}
	err := s.Login(t.Context(), agent.LoginRequest{Environment: "prod", Username: MFAUser, Password: agent.NewSecret(Password)}, ask)
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || asked[0].Name != "SOFTWARE_TOKEN_MFA" || asked[0].Problem != "" || asked[1].Problem == "" {
		t.Errorf("asked %+v", asked)
	}
	token(t, s, agent.TokenRequest{Environment: "prod"})
}

func testChallengeGivenUp(t *testing.T, s agent.Service, p *Authenticator) {
	err := s.Login(t.Context(), agent.LoginRequest{Environment: "prod", Username: MFAUser, Password: agent.NewSecret(Password)}, refuse)
	if err == nil {
		t.Fatal("signed in without the code")
	}
	_, err = s.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	want(t, err, agent.CodeLoginRequired, "prod")
	if p.Live() != 0 {
		t.Error("half signed in")
	}
}

func testSignInAgain(t *testing.T, s agent.Service, p *Authenticator) {
	Login(t, s, "prod")
	first := token(t, s, agent.TokenRequest{Environment: "prod"})
	Login(t, s, "prod")
	if second := token(t, s, agent.TokenRequest{Environment: "prod"}); second.IDToken.Equal(first.IDToken) {
		t.Error("the old token after a new sign-in")
	}
	for c := range p.Called() { // the replaced sign-in is revoked in the background
		if c == "revoke" {
			break
		}
	}
}

func testRefused(t *testing.T, s agent.Service, p *Authenticator) {
	p.Set(func(r *Rules) { r.Lifetime = time.Nanosecond })
	Login(t, s, "prod")
	p.EndAll()
	for range 3 {
		_, err := s.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
		want(t, err, agent.CodeLoginRequired, "prod", "refused", "kyc-agentd login prod")
	}
	if n := p.Refreshes(); n != 1 {
		t.Errorf("%d calls with a dead refresh token, want 1", n)
	}
	p.Set(func(r *Rules) { r.Lifetime = time.Hour })
	Login(t, s, "prod")
	token(t, s, agent.TokenRequest{Environment: "prod"})
}

func testMinValid(t *testing.T, s agent.Service, p *Authenticator) {
	p.Set(func(r *Rules) { r.Lifetime = 10 * time.Minute })
	Login(t, s, "prod")
	p.Set(func(r *Rules) { r.Lifetime = time.Hour })
	tok := token(t, s, agent.TokenRequest{Environment: "prod", MinValid: 9 * time.Minute})
	if n := p.Refreshes(); n != 0 {
		t.Errorf("%d refreshes for what the token in memory can do", n)
	}
	_, err := s.Token(t.Context(), agent.TokenRequest{Environment: "prod", MinValid: 2 * time.Hour})
	want(t, err, agent.CodeUsage, "prod", "min_valid 2h0m0s", "10m0s")
	if n := p.Refreshes(); n != 0 {
		t.Errorf("%d refreshes for what no token can do", n)
	}
	if again := token(t, s, agent.TokenRequest{Environment: "prod"}); !again.IDToken.Equal(tok.IDToken) {
		t.Error("a refused request cost the token")
	}
}

func testOneCall(t *testing.T, s agent.Service, p *Authenticator) {
	p.Set(func(r *Rules) { r.Lifetime, r.Rotate = time.Nanosecond, true })
	Login(t, s, "prod")
	p.Set(func(r *Rules) { r.Lifetime, r.Latency = time.Hour, 50*time.Millisecond })
	var wg sync.WaitGroup
	got := make([]agent.Token, 100)
	for i := range got {
		wg.Go(func() { got[i], _ = s.Token(t.Context(), agent.TokenRequest{Environment: "prod"}) })
	}
	wg.Wait()
	for i := range got {
		if got[i].IDToken.IsZero() || !got[i].IDToken.Equal(got[0].IDToken) {
			t.Fatalf("request %d got no token, or another one", i)
		}
	}
	if n := p.Refreshes(); n != 1 {
		t.Errorf("%d refreshes for %d requests at once", n, len(got))
	}
}

func testSeparate(t *testing.T, s agent.Service, p *Authenticator) {
	Login(t, s, "staging")
	p.Set(func(r *Rules) { r.Lifetime = time.Nanosecond })
	Login(t, s, "prod")
	p.EndAll()
	_, err := s.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	want(t, err, agent.CodeLoginRequired, "prod")
	token(t, s, agent.TokenRequest{Environment: "staging"})
}

func testGiveUp(t *testing.T, s agent.Service, p *Authenticator) {
	p.Set(func(r *Rules) { r.Lifetime, r.Rotate = time.Nanosecond, true })
	Login(t, s, "prod")
	hold := make(chan struct{})
	p.Set(func(r *Rules) {
		r.Lifetime = time.Hour
		r.Refresh = func(context.Context, int) error { <-hold; return nil }
	})
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := s.Token(ctx, agent.TokenRequest{Environment: "prod"})
		gaveUp <- err
	}()
	for c := range p.Called() {
		if c == "refresh" {
			break
		}
	}
	cancel()
	if err := <-gaveUp; agent.CodeOf(err) != agent.CodeUnavailable {
		t.Errorf("a caller that gave up got %v", err)
	}
	close(hold)
	token(t, s, agent.TokenRequest{Environment: "prod"})
	if n := p.Refreshes(); n != 1 {
		t.Errorf("%d refreshes: giving up interrupted the first", n)
	}
}

func testStatus(t *testing.T, s agent.Service, _ *Authenticator) {
	Login(t, s, "prod")
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Environments) != 2 || st.Environments[0].Name != "prod" || st.Environments[1].Name != "staging" {
		t.Fatalf("environments %+v", st.Environments)
	}
	prod, staging := st.Environments[0], st.Environments[1]
	if prod.State != agent.StateFresh || prod.User != User || prod.ExpiresAt.IsZero() || prod.SignedInAt.IsZero() {
		t.Errorf("prod is %+v", prod)
	}
	if staging.State != agent.StateAbsent || staging.User != "" || !staging.ExpiresAt.IsZero() {
		t.Errorf("staging is %+v", staging)
	}
	if st.DefaultEnvironment != "staging" || st.PID == 0 || st.Version == "" || st.Store.Kind == "" {
		t.Errorf("status %+v", st)
	}
}

func testAPIKey(t *testing.T, s agent.Service, p *Authenticator) {
	const key = "sk_live_0123456789"
	if err := s.Login(t.Context(), agent.LoginRequest{Environment: "prod", APIKey: agent.NewSecret(key)}, refuse); err != nil {
		t.Fatal(err)
	}
	tok := token(t, s, agent.TokenRequest{Environment: "prod", MinValid: 24 * time.Hour})
	if tok.IDToken.Reveal() != key || !tok.ExpiresAt.IsZero() {
		t.Errorf("got %q until %s", tok.IDToken.Reveal(), tok.ExpiresAt)
	}
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e := st.Environments[0]; !e.APIKey || e.State != agent.StateFresh || !e.ExpiresAt.IsZero() || !e.SignInEndsAt.IsZero() || e.User != "" {
		t.Errorf("status %+v", e)
	}
	if err := s.Logout(t.Context(), agent.LogoutRequest{Environment: "prod", Scope: agent.LogoutAllDevices}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	want(t, err, agent.CodeLoginRequired, "prod", "not signed in")
	for _, bad := range []string{"pk_1", "sk_", "sk_a b", "sk_" + strings.Repeat("a", 600)} {
		err := s.Login(t.Context(), agent.LoginRequest{Environment: "prod", APIKey: agent.NewSecret(bad)}, refuse)
		want(t, err, agent.CodeUsage, "prod", "no API key", "sk_")
	}
	err = s.Login(t.Context(), agent.LoginRequest{Environment: "prod", Username: User, Password: agent.NewSecret(Password), APIKey: agent.NewSecret(key)}, refuse)
	want(t, err, agent.CodeUsage, "prod", "one or the other")
	if n := p.Refreshes(); n != 0 {
		t.Errorf("%d calls for an API key", n)
	}
}

func testTwoLogins(t *testing.T, s agent.Service, p *Authenticator) {
	asked, first := make(chan struct{}), make(chan error, 1)
	go func() {
		first <- s.Login(t.Context(), agent.LoginRequest{Environment: "prod", Username: MFAUser, Password: agent.NewSecret(Password)},
			func(ctx context.Context, _ agent.Challenge) (agent.Answers, error) {
				close(asked)
				select {
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-t.Context().Done():
					return nil, t.Context().Err()
				}
			})
	}()
	<-asked
	Login(t, s, "prod")
	want(t, <-first, agent.CodeUnavailable, "prod", "another sign-in")
	token(t, s, agent.TokenRequest{Environment: "prod"})
	if p.Live() != 1 {
		t.Errorf("%d sign-ins at the provider", p.Live())
	}
}

func testLogoutScopes(t *testing.T, s agent.Service, p *Authenticator) {
	want(t, s.Logout(t.Context(), agent.LogoutRequest{Environment: "prod", Scope: "moon"}), agent.CodeUsage, "prod", `"moon"`)
	Login(t, s, "staging")
	Login(t, s, "prod")
	if err := s.Logout(t.Context(), agent.LogoutRequest{Environment: "prod", Scope: agent.LogoutLocal}); err != nil || p.Live() != 2 {
		t.Fatalf("local: %v; %d live at the provider, want both", err, p.Live())
	}
	Login(t, s, "prod")
	if err := s.Logout(t.Context(), agent.LogoutRequest{Environment: "prod", Scope: agent.LogoutAllDevices}); err != nil || p.Live() != 0 {
		t.Fatalf("all devices: %v; %d live at the provider", err, p.Live())
	}
	Login(t, s, "prod")
	p.EndAll()
	err := s.Logout(t.Context(), agent.LogoutRequest{Environment: "prod", Scope: agent.LogoutAllDevices})
	want(t, err, agent.CodeLoginRequired, "prod", "signed out here, but not elsewhere")
	_, err = s.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	want(t, err, agent.CodeLoginRequired, "prod", "not signed in")
}

func testRecover(t *testing.T, s agent.Service, _ *Authenticator) {
	answer := func(code string) agent.Prompter {
		return func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
			return agent.Answers{c.Fields[0].Name: agent.NewSecret(code)}, nil
		}
	}
	req := agent.RecoverRequest{Environment: "prod", Username: User, Action: agent.RecoverReset}
	if err := s.Recover(t.Context(), req, answer(RecoveryCode)); err != nil {
		t.Fatal(err)
	}
	want(t, s.Recover(t.Context(), req, answer("000000")), agent.CodeUsage, "prod", "wrong code")
	if err := s.Recover(t.Context(), req, refuse); err == nil {
		t.Error("recovered with nobody there")
	}
	req.Action = "explode"
	want(t, s.Recover(t.Context(), req, refuse), agent.CodeUsage, "prod", `"explode"`)
	req.Action, req.Username = agent.RecoverConfirm, ""
	want(t, s.Recover(t.Context(), req, refuse), agent.CodeUsage, "prod", "user name")
	req.Action, req.Username = agent.RecoverChange, User
	want(t, s.Recover(t.Context(), req, refuse), agent.CodeUsage, "prod", "present")
	req.Action = agent.RecoverResend
	if err := s.Recover(t.Context(), req, refuse); err != nil {
		t.Error(err)
	}
}

func testWarning(t *testing.T, s agent.Service, p *Authenticator) {
	p.Set(func(r *Rules) { r.SignedInAgo = 28 * 24 * time.Hour })
	Login(t, s, "prod")
	tok := token(t, s, agent.TokenRequest{Environment: "prod"})
	if !strings.Contains(tok.Warning, "prod: the sign-in ends in 47h; run: kyc-agentd login prod") {
		t.Errorf("warning %q", tok.Warning)
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Environments[0].Warning != tok.Warning {
		t.Errorf("status %+v, %v", st.Environments[0], err)
	}
	if left := time.Until(st.Environments[0].SignInEndsAt); left < 47*time.Hour || left > 48*time.Hour {
		t.Errorf("the sign-in ends in %s", left)
	}
	Login(t, s, "staging")
	p.Set(func(r *Rules) { r.SignedInAgo = 0 })
	Login(t, s, "prod")
	if tok := token(t, s, agent.TokenRequest{Environment: "prod"}); tok.Warning != "" {
		t.Errorf("warning %q about a new sign-in", tok.Warning)
	}
}
