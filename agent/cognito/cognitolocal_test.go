package cognito_test

import (
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitolocal"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// Against a Cognito that nobody here wrote.
func TestCognitoLocal(t *testing.T) {
	const totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	srv := cognitolocal.Start(t, cognitolocal.Options{
		IDTokenLifetime: 10 * time.Second,
		Users: []cognitolocal.User{
			{Name: username, Password: password},
			{Name: "unconfirmed", Password: password, Status: "UNCONFIRMED"},
			{Name: "reset", Password: password, Status: "RESET_REQUIRED"},
			{Name: "invited", Password: password, Status: "FORCE_CHANGE_PASSWORD"},
			{Name: "totp", Password: password, TOTPSecret: totpSecret},
			{Name: "new", Password: password, Status: "UNCONFIRMED"},
			{Name: "stuck", Password: password, Status: "RESET_REQUIRED"},
			{Name: "forgetful", Password: password},
			{Name: "careful", Password: password},
		},
	})
	env := agent.Environment{Name: "prod", Region: srv.Region, UserPoolID: srv.PoolID, ClientID: srv.ClientID, Endpoint: srv.URL}
	a := cognito.New(cognito.Options{})
	as := func(name string) agent.LoginRequest {
		return agent.LoginRequest{Username: name, Password: agent.NewSecret(password)}
	}

	t.Run("sign-in, refresh, revoke", func(t *testing.T) {
		g := signIn(t, a, env)
		if g.SignIn.Username != username || g.SignIn.Subject != (cognitolocal.User{Name: username}).Sub() || g.Lifetime != 10*time.Second {
			t.Errorf("%+v, lifetime %v", g.SignIn, g.Lifetime)
		}
		for _, api := range []string{"", "initiate-auth", "tokens"} { // the last it does not have
			s := g.SignIn
			s.RefreshAPI = api
			r, err := a.Refresh(t.Context(), env, s, func(agent.SignIn) { t.Error("a new refresh token, of a server that has none") })
			if err != nil {
				t.Fatalf("by %q: %v", api, err)
			}
			if r.SignIn.RefreshAPI != "initiate-auth" || !r.SignIn.RefreshToken.Equal(s.RefreshToken) || r.Lifetime != 10*time.Second {
				t.Errorf("by %q: %+v, lifetime %v", api, r.SignIn, r.Lifetime)
			}
		}
		if err := a.Revoke(t.Context(), env, g.SignIn); err != nil {
			t.Fatal(err)
		}
		for _, api := range []string{"", "tokens"} {
			s := g.SignIn
			s.RefreshAPI = api
			_, err := a.Refresh(t.Context(), env, s, nobody)
			wantError(t, err, agent.CodeLoginRequired, "expired or was ended; run: kyc-agentd login prod")
		}
		if err := a.Revoke(t.Context(), env, g.SignIn); err != nil {
			t.Errorf("revoking what it does not know: %v", err)
		}
	})

	t.Run("by e-mail address", func(t *testing.T) {
		g, err := a.Login(t.Context(), env, as(username+"@example.com"), unasked(t))
		if err != nil || g.SignIn.Username != username {
			t.Errorf("%q, %v", g.SignIn.Username, err)
		}
	})

	for _, test := range []struct {
		name, user, password, says string
	}{
		{"wrong password", username, "nope", "prod: Invalid username or password; check both"},
		{"unknown user", "nobody", password, "prod: Invalid username or password; check both"},
		{"unconfirmed", "unconfirmed", password, "prod: User account not confirmed. Please verify your email."},
		{"reset", "reset", password, "prod: Password reset required"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := agent.LoginRequest{Username: test.user, Password: agent.NewSecret(test.password)}
			_, err := a.Login(t.Context(), env, req, nobodyThere)
			wantError(t, err, agent.CodeLoginRequired, test.says)
		})
	}

	t.Run("wrong client", func(t *testing.T) {
		other := env
		other.ClientID = "other"
		_, err := a.Login(t.Context(), other, as(username), unasked(t))
		wantError(t, err, agent.CodeConfiguration, "does not know the app client other")
	})

	t.Run("another pool's name", func(t *testing.T) {
		other := env
		other.UserPoolID = "us-east-2_other"
		_, err := a.Login(t.Context(), other, as(username), unasked(t))
		wantError(t, err, agent.CodeInternal, "the new ID token was refused: iss: ")
	})

	t.Run("new password", func(t *testing.T) {
		g, err := a.Login(t.Context(), env, as("invited"), script(t,
			turn{"NEW_PASSWORD_REQUIRED", "", "", "new_password* new_password_again*", map[string]string{"new_password": "longer than that"}}))
		if err != nil || g.SignIn.Username != "invited" {
			t.Errorf("%+v, %v", g.SignIn, err)
		}
	})

	t.Run("authenticator app", func(t *testing.T) {
		g, err := a.Login(t.Context(), env, as("totp"), script(t,
			turn{"SOFTWARE_TOKEN_MFA", "Code from your authenticator app (phone)", "", "code", code("000000")},
			turn{"SOFTWARE_TOKEN_MFA", "", "wrong code", "code", code(cognitotest.TOTP(totpSecret, time.Now()))}))
		if err != nil || g.SignIn.Username != "totp" {
			t.Errorf("%+v, %v", g.SignIn, err)
		}
	})

	t.Run("confirmed at the sign-in", func(t *testing.T) {
		_, err := a.Login(t.Context(), env, as("new"), script(t,
			turn{"CONFIRM_SIGN_UP", "", "", "code", code("1")},
			turn{"CONFIRM_SIGN_UP", "", "wrong code", "code", code(cognitolocal.Code)}))
		if err != nil {
			t.Error(err)
		}
	})

	t.Run("reset at the sign-in", func(t *testing.T) {
		_, err := a.Login(t.Context(), env, as("stuck"), script(t,
			turn{"PASSWORD_RESET_REQUIRED", "", "", "code", code("yes")},
			turn{"RESET_PASSWORD", "Code sent by e-mail to stuck@example.com", "", "code " + passwords, typed("code", cognitolocal.Code, "new_password", next)}))
		if err != nil {
			t.Error(err)
		}
	})

	t.Run("forgotten password", func(t *testing.T) {
		req := agent.RecoverRequest{Action: agent.RecoverReset, Username: "forgetful"}
		err := a.Recover(t.Context(), env, req, script(t,
			turn{"RESET_PASSWORD", "", "", "code " + passwords, typed("code", "000000", "new_password", next)},
			turn{"RESET_PASSWORD", "", "wrong code", "code " + passwords, typed("code", cognitolocal.Code, "new_password", next)}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Login(t.Context(), env, agent.LoginRequest{Username: "forgetful", Password: agent.NewSecret(next)}, unasked(t)); err != nil {
			t.Errorf("with the new password: %v", err)
		}
	})

	t.Run("change of password", func(t *testing.T) {
		req := agent.RecoverRequest{Action: agent.RecoverChange, Username: "careful", Password: agent.NewSecret(password)}
		err := a.Recover(t.Context(), env, req, script(t, turn{"CHANGE_PASSWORD", "", "", passwords, typed("new_password", next)}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Login(t.Context(), env, agent.LoginRequest{Username: "careful", Password: agent.NewSecret(next)}, unasked(t)); err != nil {
			t.Errorf("with the new password: %v", err)
		}
	})

	t.Run("what it does not have", func(t *testing.T) {
		for _, flow := range []agent.AuthFlow{agent.FlowSRP, agent.FlowChoice} {
			other := env
			other.AuthFlow = flow
			_, err := a.Login(t.Context(), other, as(username), unasked(t))
			wantError(t, err, agent.CodeConfiguration)
		}
		g := signIn(t, a, env)
		wantError(t, a.RevokeAll(t.Context(), env, g.SignIn, nobody), agent.CodeConfiguration, "does not know the call GlobalSignOut")
		err := a.Recover(t.Context(), env, agent.RecoverRequest{Action: agent.RecoverResend, Username: "unconfirmed"}, unasked(t))
		wantError(t, err, agent.CodeConfiguration, "does not know the call ResendConfirmationCode")
	})
}
