package cognito_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const clientSecret = "sekrit-client-secret"

// fixedSecret is a client secret that cannot change.
func fixedSecret(s string) *agent.ClientSecret { return agent.NewClientSecret(agent.NewSecret(s), nil) }

// The value was calculated with another program.
func TestSecretHash(t *testing.T) {
	env := agent.Environment{ClientID: "1example23456789", ClientSecret: fixedSecret(clientSecret)}
	if got, want := cognito.SecretHashForTest(env, "+15551234567"), "5nAkRgUw5Vx7SIUEmv6HrgEXPK/SwtnH5F8rxZL+71w="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	env.ClientSecret = nil
	if got := cognito.SecretHashForTest(env, "ada"); got != "" {
		t.Errorf("%q without a secret", got)
	}
}

// proofs returns the proof of the client secret in each call.
func proofs(t *testing.T, c cognitotest.Call) (hash, plain string) {
	t.Helper()
	var body struct {
		SecretHash, ClientSecret           string
		AuthParameters, ChallengeResponses map[string]string
	}
	if err := json.Unmarshal(c.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body.SecretHash + body.AuthParameters["SECRET_HASH"] + body.ChallengeResponses["SECRET_HASH"], body.ClientSecret
}

// TestClientSecret uses an app client with a secret and a user who types an alias, with every flow,
// both refresh calls, and a revocation. cognitotest checks each hash.
func TestClientSecret(t *testing.T) {
	const real = "0d9f7a5c-0000-4000-8000-000000000000"
	for _, flow := range []agent.AuthFlow{agent.FlowPassword, agent.FlowSRP, agent.FlowChoice} {
		t.Run(string(flow), func(t *testing.T) {
			srv := cognitotest.New(cognitotest.ClientSecret(clientSecret), cognitotest.RememberDevices(cognitotest.DevicesAlways))
			t.Cleanup(srv.Close)
			srv.AddUser(cognitotest.User{
				Name: real, Sub: real, Email: "ada@example.com", Phone: "+15551234567", Password: password,
				Status: cognitotest.ForceChangePassword, MFA: []string{"SMS_MFA", "EMAIL_OTP"},
			})
			env := environment(srv)
			env.AuthFlow, env.ClientSecret = flow, fixedSecret(clientSecret)
			a := cognito.New(cognito.Options{})
			req := agent.LoginRequest{Username: "ada@example.com", Password: agent.NewSecret(password)}
			g, err := a.Login(t.Context(), env, req, script(t,
				turn{"NEW_PASSWORD_REQUIRED", "", "", "new_password* new_password_again*", map[string]string{"new_password": "longer than that"}},
				turn{"SELECT_MFA_TYPE", "", "", "choice", map[string]string{"choice": "2"}},
				turn{"EMAIL_OTP", "", "", "code", code("654321")},
				turn{"EMAIL_OTP", "", "wrong code", "code", code("123456")},
			))
			if err != nil {
				t.Fatal(err)
			}
			if g.SignIn.Username != real {
				t.Errorf("signed in as %q", g.SignIn.Username)
			}
			for _, api := range []string{"", "tokens", "initiate-auth"} {
				s := g.SignIn
				s.RefreshAPI = api
				r, err := a.Refresh(t.Context(), env, s, nobody)
				if err != nil {
					t.Errorf("refresh by %q: %v", api, err)
				}
				if want := or(api, "tokens"); r.SignIn.RefreshAPI != want {
					t.Errorf("by %q it remembers %q, want %q", api, r.SignIn.RefreshAPI, want)
				}
			}
			// The SRP exchange of the device needs the hash, too.
			req.Password, req.Device = agent.NewSecret("longer than that"), g.SignIn.Device
			again, err := a.Login(t.Context(), env, req, unasked(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Revoke(t.Context(), env, g.SignIn); err != nil {
				t.Error(err)
			}
			if err := a.RevokeAll(t.Context(), env, again.SignIn, nobody); err != nil {
				t.Error(err)
			}
			for _, c := range srv.Log() {
				hash, plain := proofs(t, orEmpty(c))
				switch c.Op {
				case "InitiateAuth", "RespondToAuthChallenge":
					if hash == "" || plain != "" {
						t.Errorf("%s %s: no hash, or the secret itself", c.Op, c.Flow)
					}
				case "GetTokensFromRefreshToken", "RevokeToken":
					if hash != "" || plain != clientSecret {
						t.Errorf("%s: not the secret itself", c.Op)
					}
				default:
					if hash+plain != "" {
						t.Errorf("%s: a secret that nobody asked for", c.Op)
					}
				}
			}
		})
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// orEmpty returns an empty JSON object for a call without a body.
func orEmpty(c cognitotest.Call) cognitotest.Call {
	if len(c.Body) == 0 {
		c.Body = []byte("{}")
	}
	return c
}

// A secret that is missing, wrong or not needed is an error of the configuration. It neither ends a
// sign-in nor counts as a wrong password.
func TestClientSecretMistakes(t *testing.T) {
	for _, test := range []struct {
		name, has, configured, says string
	}{
		{"missing", clientSecret, "", "has a secret, and none is configured; set client_secret_file of environment prod"},
		{"wrong", clientSecret, "other", "the configured client secret is not the one of the app client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			a := cognito.New(cognito.Options{})
			env := environment(srv)
			s := signIn(t, a, env).SignIn
			srv.Set(cognitotest.ClientSecret(test.has))
			env.ClientSecret = fixedSecret(test.configured)
			for _, flow := range []agent.AuthFlow{agent.FlowPassword, agent.FlowSRP, agent.FlowChoice} {
				env.AuthFlow = flow
				_, err := a.Login(t.Context(), env, ada(), unasked(t))
				wantError(t, err, agent.CodeConfiguration, test.says)
			}
			for _, api := range []string{"", "initiate-auth", "tokens"} {
				s.RefreshAPI = api
				_, err := a.Refresh(t.Context(), env, s, nobody)
				wantError(t, err, agent.CodeConfiguration, test.says)
			}
			wantError(t, a.Revoke(t.Context(), env, s), agent.CodeConfiguration, test.says)
			for _, action := range []agent.RecoverAction{agent.RecoverReset, agent.RecoverResend, agent.RecoverChange} {
				req := agent.RecoverRequest{Action: action, Username: username, Password: agent.NewSecret(password)}
				wantError(t, a.Recover(t.Context(), env, req, unasked(t)), agent.CodeConfiguration, test.says)
			}
		})
	}
}

// With rotation on, one of the two calls is refused, with a secret as well.
func TestClientSecretAndRotation(t *testing.T) {
	srv := start(t, cognitotest.ClientSecret(clientSecret), cognitotest.Rotation(0), cognitotest.RefreshTokenLifetime(time.Hour))
	env := environment(srv)
	env.ClientSecret = fixedSecret(clientSecret)
	a := cognito.New(cognito.Options{})
	g := signIn(t, a, env)
	for range 3 {
		var err error
		if g, err = a.Refresh(t.Context(), env, g.SignIn, nobody); err != nil {
			t.Fatal(err)
		}
	}
	wantCalls(t, srv, tokens, tokens, tokens)
}
