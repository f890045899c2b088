package cognito_test

import (
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitolocal"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// A localFixture is a running cognito-local with users in several states.
type localFixture struct {
	env  agent.Environment
	auth *cognito.Authenticator
}

const localTOTPSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func newLocalFixture(t *testing.T) localFixture {
	t.Helper()
	srv := cognitolocal.Start(t, cognitolocal.Options{
		IDTokenLifetime: 10 * time.Second,
		Users: []cognitolocal.User{
			{Name: username, Password: password},
			{Name: "unconfirmed", Password: password, Status: "UNCONFIRMED"},
			{Name: "reset", Password: password, Status: "RESET_REQUIRED"},
			{Name: "invited", Password: password, Status: "FORCE_CHANGE_PASSWORD"},
			{Name: "totp", Password: password, TOTPSecret: localTOTPSecret},
			{Name: "new", Password: password, Status: "UNCONFIRMED"},
			{Name: "stuck", Password: password, Status: "RESET_REQUIRED"},
			{Name: "forgetful", Password: password},
			{Name: "careful", Password: password},
		},
	})
	return localFixture{
		env:  agent.Environment{Name: "prod", Region: srv.Region, UserPoolID: srv.PoolID, ClientID: srv.ClientID, Endpoint: srv.URL},
		auth: cognito.New(cognito.Options{}),
	}
}

// withPassword returns a request with the password that all users have.
func withPassword(name string) agent.LoginRequest {
	return agent.LoginRequest{Username: name, Password: agent.NewSecret(password)}
}

// TestCognitoLocal runs the client against an independent implementation of Cognito.
func TestCognitoLocal(t *testing.T) {
	f := newLocalFixture(t)
	t.Run("sign-in, refresh, revoke", f.testTokens)
	t.Run("by e-mail address", f.testAlias)
	t.Run("refused", f.testRefusals)
	t.Run("wrong client", f.testWrongClient)
	t.Run("another pool's name", f.testOtherPool)
	t.Run("new password", f.testNewPassword)
	t.Run("authenticator app", f.testTOTP)
	t.Run("confirmed at the sign-in", f.testConfirmation)
	t.Run("reset at the sign-in", f.testReset)
	t.Run("forgotten password", f.testForgottenPassword)
	t.Run("change of password", f.testPasswordChange)
	t.Run("what it does not have", f.testUnsupported)
}

func (f localFixture) testTokens(t *testing.T) {
	g := signIn(t, f.auth, f.env)
	if g.SignIn.Username != username || g.SignIn.Subject != (cognitolocal.User{Name: username}).Sub() || g.Lifetime != 10*time.Second {
		t.Errorf("%+v, lifetime %v", g.SignIn, g.Lifetime)
	}
	for _, api := range []string{"", "initiate-auth", "tokens"} { // the last it does not have
		s := g.SignIn
		s.RefreshAPI = api
		r, err := f.auth.Refresh(t.Context(), f.env, s, func(agent.SignIn) { t.Error("a new refresh token, of a server that has none") })
		if err != nil {
			t.Fatalf("by %q: %v", api, err)
		}
		if r.SignIn.RefreshAPI != "initiate-auth" || !r.SignIn.RefreshToken.Equal(s.RefreshToken) || r.Lifetime != 10*time.Second {
			t.Errorf("by %q: %+v, lifetime %v", api, r.SignIn, r.Lifetime)
		}
	}
	if err := f.auth.Revoke(t.Context(), f.env, g.SignIn); err != nil {
		t.Fatal(err)
	}
	for _, api := range []string{"", "tokens"} {
		s := g.SignIn
		s.RefreshAPI = api
		_, err := f.auth.Refresh(t.Context(), f.env, s, nobody)
		wantError(t, err, agent.CodeLoginRequired, "expired or was ended; run: kyc-agentd login prod")
	}
	if err := f.auth.Revoke(t.Context(), f.env, g.SignIn); err != nil {
		t.Errorf("revoking what it does not know: %v", err)
	}
}

func (f localFixture) testAlias(t *testing.T) {
	g, err := f.auth.Login(t.Context(), f.env, withPassword(username+"@example.com"), unasked(t))
	if err != nil || g.SignIn.Username != username {
		t.Errorf("%q, %v", g.SignIn.Username, err)
	}
}

func (f localFixture) testRefusals(t *testing.T) {
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
			_, err := f.auth.Login(t.Context(), f.env, req, nobodyThere)
			wantError(t, err, agent.CodeLoginRequired, test.says)
		})
	}
}

func (f localFixture) testWrongClient(t *testing.T) {
	other := f.env
	other.ClientID = "other"
	_, err := f.auth.Login(t.Context(), other, withPassword(username), unasked(t))
	wantError(t, err, agent.CodeConfiguration, "does not know the app client other")
}

func (f localFixture) testOtherPool(t *testing.T) {
	other := f.env
	other.UserPoolID = "us-east-2_other"
	_, err := f.auth.Login(t.Context(), other, withPassword(username), unasked(t))
	wantError(t, err, agent.CodeConfiguration, "the new ID token was refused: iss: ")
}

func (f localFixture) testNewPassword(t *testing.T) {
	g, err := f.auth.Login(t.Context(), f.env, withPassword("invited"), script(t,
		turn{"NEW_PASSWORD_REQUIRED", "", "", "new_password* new_password_again*", map[string]string{"new_password": "longer than that"}}))
	if err != nil || g.SignIn.Username != "invited" {
		t.Errorf("%+v, %v", g.SignIn, err)
	}
}

func (f localFixture) testTOTP(t *testing.T) {
	g, err := f.auth.Login(t.Context(), f.env, withPassword("totp"), script(t,
		turn{"SOFTWARE_TOKEN_MFA", "Code from your authenticator app (phone)", "", "code", code("000000")},
		turn{"SOFTWARE_TOKEN_MFA", "", "wrong code", "code", code(cognitotest.TOTP(localTOTPSecret, time.Now()))}))
	if err != nil || g.SignIn.Username != "totp" {
		t.Errorf("%+v, %v", g.SignIn, err)
	}
}

func (f localFixture) testConfirmation(t *testing.T) {
	_, err := f.auth.Login(t.Context(), f.env, withPassword("new"), script(t,
		turn{"CONFIRM_SIGN_UP", "", "", "code", code("1")},
		turn{"CONFIRM_SIGN_UP", "", "wrong code", "code", code(cognitolocal.Code)}))
	if err != nil {
		t.Error(err)
	}
}

func (f localFixture) testReset(t *testing.T) {
	_, err := f.auth.Login(t.Context(), f.env, withPassword("stuck"), script(t,
		turn{"PASSWORD_RESET_REQUIRED", "", "", "code", code("yes")},
		turn{"RESET_PASSWORD", "Code sent by e-mail to stuck@example.com", "", "code " + passwords, typed("code", cognitolocal.Code, "new_password", next)}))
	if err != nil {
		t.Error(err)
	}
}

func (f localFixture) testForgottenPassword(t *testing.T) {
	req := agent.RecoverRequest{Action: agent.RecoverReset, Username: "forgetful"}
	err := f.auth.Recover(t.Context(), f.env, req, script(t,
		turn{"RESET_PASSWORD", "", "", "code " + passwords, typed("code", "000000", "new_password", next)},
		turn{"RESET_PASSWORD", "", "wrong code", "code " + passwords, typed("code", cognitolocal.Code, "new_password", next)}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.auth.Login(t.Context(), f.env, agent.LoginRequest{Username: "forgetful", Password: agent.NewSecret(next)}, unasked(t)); err != nil {
		t.Errorf("with the new password: %v", err)
	}
}

func (f localFixture) testPasswordChange(t *testing.T) {
	req := agent.RecoverRequest{Action: agent.RecoverChange, Username: "careful", Password: agent.NewSecret(password)}
	err := f.auth.Recover(t.Context(), f.env, req, script(t, turn{"CHANGE_PASSWORD", "", "", passwords, typed("new_password", next)}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.auth.Login(t.Context(), f.env, agent.LoginRequest{Username: "careful", Password: agent.NewSecret(next)}, unasked(t)); err != nil {
		t.Errorf("with the new password: %v", err)
	}
}

func (f localFixture) testUnsupported(t *testing.T) {
	for _, flow := range []agent.AuthFlow{agent.FlowSRP, agent.FlowChoice} {
		other := f.env
		other.AuthFlow = flow
		_, err := f.auth.Login(t.Context(), other, withPassword(username), unasked(t))
		wantError(t, err, agent.CodeConfiguration)
	}
	g := signIn(t, f.auth, f.env)
	wantError(t, f.auth.RevokeAll(t.Context(), f.env, g.SignIn, nobody), agent.CodeConfiguration, "does not know the call GlobalSignOut")
	err := f.auth.Recover(t.Context(), f.env, agent.RecoverRequest{Action: agent.RecoverResend, Username: "unconfirmed"}, unasked(t))
	wantError(t, err, agent.CodeConfiguration, "does not know the call ResendConfirmationCode")
}
