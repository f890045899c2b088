package cognito_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// A turn is an expected challenge, and what the person types.
type turn struct {
	name    string
	prompt  string // contained
	problem string // contained; empty means none
	inputs  string // names, a star for those that are not shown
	typed   map[string]string
}

// script returns a Prompter that expects the turns and answers as they say.
func script(t *testing.T, turns ...turn) agent.Prompter {
	t.Cleanup(func() {
		for _, left := range turns {
			t.Errorf("never asked: %+v", left)
		}
	})
	return func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		if len(turns) == 0 {
			t.Errorf("asked again: %+v", c)
			return nil, errors.New("unexpected")
		}
		want := turns[0]
		turns = turns[1:]
		if c.Environment != "prod" || c.Name != want.name || !strings.Contains(c.Prompt, want.prompt) {
			t.Errorf("asked %+v, want %+v", c, want)
		}
		if (c.Problem == "") != (want.problem == "") || !strings.Contains(c.Problem, want.problem) {
			t.Errorf("problem %q, want %q", c.Problem, want.problem)
		}
		if got := inputNames(c); got != want.inputs {
			t.Errorf("inputs %q, want %q", got, want.inputs)
		}
		given := agent.Answers{}
		for k, v := range want.typed {
			given[k] = agent.NewSecret(v)
		}
		return given, nil
	}
}

func inputNames(c agent.Challenge) string {
	var names []string
	for _, in := range c.Fields {
		name := in.Name
		if in.Secret {
			name += "*"
		}
		if in.Label == "" {
			name += " without a label"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// after answers as ask does, after a delay.
func after(d time.Duration, ask agent.Prompter) agent.Prompter {
	return func(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
		time.Sleep(d)
		return ask(ctx, c)
	}
}

func code(v string) map[string]string { return map[string]string{"code": v} }

func TestChallenges(t *testing.T) {
	const totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	now := time.Now()
	good := cognitotest.TOTP(totpSecret, now)
	spaced := good[:3] + " " + good[3:]
	newPassword := func(p, again string, more ...string) map[string]string {
		m := map[string]string{"new_password": p, "new_password_again": again}
		for i := 0; i < len(more); i += 2 {
			m["userAttributes."+more[i]] = more[i+1]
		}
		return m
	}
	const sms, app, mail = "SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP"
	const passwords = "new_password* new_password_again*"
	tests := []struct {
		name  string
		user  cognitotest.User
		turns []turn
	}{
		{"authenticator app", cognitotest.User{MFA: []string{app}}, []turn{
			{app, "Code from your authenticator app", "", "code", code(good)},
		}},
		{"a code with a space in it", cognitotest.User{MFA: []string{app}}, []turn{
			{app, "", "", "code", code(" " + spaced + "\n")},
		}},
		{"wrong codes, then the right one", cognitotest.User{MFA: []string{app}}, []turn{
			{app, "", "", "code", code("000000x")},
			{app, "", "wrong code", "code", code("")},
			{app, "", "no code was given", "code", nil},
			{app, "", "no code was given", "code", code(good)},
		}},
		{"SMS", cognitotest.User{MFA: []string{sms}}, []turn{
			{sms, "Code sent by SMS (+******4567)", "", "code", code("1")},
			{sms, "Code sent by SMS (+******4567)", "wrong code", "code", code("123456")},
		}},
		{"e-mail", cognitotest.User{MFA: []string{mail}}, []turn{
			{mail, "Code sent by e-mail (a***@e***)", "", "code", code("123456")},
		}},
		{"a choice by number", cognitotest.User{MFA: []string{app, sms, mail}}, []turn{
			{"SELECT_MFA_TYPE", "1 = authenticator app (SOFTWARE_TOKEN_MFA), 2 = SMS (SMS_MFA), 3 = e-mail (EMAIL_OTP)", "", "choice", map[string]string{"choice": "4"}},
			{"SELECT_MFA_TYPE", "1 = ", "not one of the choices", "choice", map[string]string{"choice": " 2 "}},
			{sms, "", "", "code", code("123456")},
		}},
		{"a choice by name", cognitotest.User{MFA: []string{app, mail}}, []turn{
			{"SELECT_MFA_TYPE", "", "", "choice", map[string]string{"choice": "email_otp"}},
			{mail, "", "", "code", code("123456")},
		}},
		{"a choice by the words of the list", cognitotest.User{MFA: []string{app, sms, mail}}, []turn{
			{"SELECT_MFA_TYPE", "Which second factor do you want to use?", "", "choice", map[string]string{"choice": "factor"}},
			{"SELECT_MFA_TYPE", "", "not one of the choices", "choice", map[string]string{"choice": ""}},
			{"SELECT_MFA_TYPE", "", "not one of the choices", "choice", map[string]string{"choice": " Email"}},
			{mail, "", "", "code", code("123456")},
		}},
		{"a choice by a word of the list", cognitotest.User{MFA: []string{app, sms}}, []turn{
			{"SELECT_MFA_TYPE", "", "", "choice", map[string]string{"choice": "app"}},
			{app, "", "", "code", code(good)},
		}},
		{"rules are remembered", cognitotest.User{Status: cognitotest.ForceChangePassword}, []turn{
			{"NEW_PASSWORD_REQUIRED", "(rules known so far: 6 to 256 characters, no space at either end)", "", passwords, newPassword("short", "short")},
			{"NEW_PASSWORD_REQUIRED", "at either end, longer than the one that was refused)", "shorter", passwords, newPassword("", "")},
			{"NEW_PASSWORD_REQUIRED", "at either end, longer than the one that was refused)", "no new password", passwords, newPassword("longer than that", "longer than that")},
		}},
		{"attributes are kept", cognitotest.User{Status: cognitotest.ForceChangePassword, RequiredAttributes: []string{"name"}}, []turn{
			{"NEW_PASSWORD_REQUIRED", "", "", passwords + " userAttributes.name", newPassword("short", "short", "name", "Ada")},
			{"NEW_PASSWORD_REQUIRED", "", "shorter", passwords + " userAttributes.name", newPassword("longer than that", "longer than that")},
		}},
		{"a new password", cognitotest.User{Status: cognitotest.ForceChangePassword}, []turn{
			{"NEW_PASSWORD_REQUIRED", "A new password is needed", "", passwords, newPassword("", "")},
			{"NEW_PASSWORD_REQUIRED", "", "no new password was given", passwords, newPassword("longer than that", "longer than this")},
			{"NEW_PASSWORD_REQUIRED", "", "not the same", passwords, newPassword("short", "short")},
			{"NEW_PASSWORD_REQUIRED", "", "the user pool's rules", passwords, newPassword("longer than that", "longer than that")},
		}},
		{"a new password from a program", cognitotest.User{Status: cognitotest.ForceChangePassword}, []turn{
			{"NEW_PASSWORD_REQUIRED", "", "", passwords, map[string]string{"new_password": "longer than that"}},
		}},
		{"a new password, attributes and MFA", cognitotest.User{Status: cognitotest.ForceChangePassword, RequiredAttributes: []string{"name", "custom:team"}, MFA: []string{sms}}, []turn{
			{"NEW_PASSWORD_REQUIRED", "", "", passwords + " userAttributes.name userAttributes.custom:team", newPassword("longer than that", "longer than that", "name", "Ada")},
			{"NEW_PASSWORD_REQUIRED", "", "custom:team is needed", passwords + " userAttributes.name userAttributes.custom:team", newPassword("longer than that", "longer than that", "name", "Ada", "custom:team", "ops")},
			{sms, "", "", "code", code("123456")},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := cognitotest.New(cognitotest.Now(func() time.Time { return now }))
			t.Cleanup(srv.Close)
			u := test.user
			u.Name, u.Password, u.TOTPSecret, u.Phone, u.Email = username, password, totpSecret, "+15551234567"[:11], "ada@example.com"
			u.Phone = "+1555124567"
			srv.AddUser(u)
			req := ada()
			req.Username = u.Email // an alias: the answers must go by the real name
			g, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), req, script(t, test.turns...))
			if err != nil {
				t.Fatal(err)
			}
			if g.SignIn.Username != username || g.IDToken.IsZero() {
				t.Errorf("%+v", g.SignIn)
			}
			for _, c := range srv.Log() {
				if c.Op == "RespondToAuthChallenge" && c.Username != username {
					t.Errorf("answered as %q, want the name that Cognito told", c.Username)
				}
			}
		})
	}
}

// A code of an authenticator app works once: a second sign-in within half a minute reports that.
func TestUsedCode(t *testing.T) {
	srv := cognitotest.New()
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: username, Password: password, MFA: []string{"SMS_MFA"}})
	srv.FailNext("RespondToAuthChallenge", 1, cognitotest.Refuse("ExpiredCodeException", "Your software token has already been used once."))
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), script(t,
		turn{"SMS_MFA", "", "", "code", code("123456")},
		turn{"SMS_MFA", "", "has expired or was used before: wait for the next one", "code", code("123456")},
	))
	if err != nil {
		t.Error(err)
	}
}

// Cognito waits three minutes for an answer, less long than this client.
func TestChallengeTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := cognitotest.NewInMemory()
		t.Cleanup(srv.Close)
		srv.AddUser(cognitotest.User{Name: username, Password: password, MFA: []string{"SMS_MFA"}})
		slow := func(context.Context, agent.Challenge) (agent.Answers, error) {
			time.Sleep(4 * time.Minute)
			return agent.Answers{"code": agent.NewSecret("123456")}, nil
		}
		_, err := cognito.New(cognito.Options{HTTPClient: srv.Client()}).Login(t.Context(), environment(srv), ada(), slow)
		wantError(t, err, agent.CodeLoginRequired, "the sign-in took longer than Cognito's 3 minutes", "begin again: run: kyc-agentd login prod")
	})
}

// Two minutes are not too long: the client has no deadline while a person types.
func TestChallengeSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := cognitotest.NewInMemory()
		t.Cleanup(srv.Close)
		srv.AddUser(cognitotest.User{Name: username, Password: password, MFA: []string{"SMS_MFA"}})
		slow := func(context.Context, agent.Challenge) (agent.Answers, error) {
			time.Sleep(2 * time.Minute)
			return agent.Answers{"code": agent.NewSecret("123456")}, nil
		}
		if _, err := cognito.New(cognito.Options{HTTPClient: srv.Client()}).Login(t.Context(), environment(srv), ada(), slow); err != nil {
			t.Error(err)
		}
	})
}

func TestGivingUp(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code agent.Code
		says string
	}{
		{"the person", errors.New("interrupted"), agent.CodeLoginRequired, "the sign-in was given up at SMS_MFA; begin again: run: kyc-agentd login prod"},
		{"the caller", context.Canceled, agent.CodeUnavailable, "given up at SMS_MFA"},
		{"the agent's own error", &agent.Error{Code: agent.CodeUsage, Op: "login", Environment: "prod", Message: "expired", Hint: "again"}, agent.CodeUsage, "prod: expired; again"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := cognitotest.New()
			t.Cleanup(srv.Close)
			srv.AddUser(cognitotest.User{Name: username, Password: password, MFA: []string{"SMS_MFA"}})
			ask := func(context.Context, agent.Challenge) (agent.Answers, error) { return nil, test.err }
			g, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), ask)
			wantError(t, err, test.code, test.says)
			if !errors.Is(err, test.err) || g != (agent.AuthResult{}) {
				t.Errorf("lost the cause, or kept something: %v", err)
			}
			if srv.Calls("RespondToAuthChallenge") != 0 {
				t.Error("answered all the same")
			}
		})
	}
}

// challenger answers every call with the challenge name.
func challenger(t *testing.T, name string, params map[string]string) agent.Environment {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"ChallengeName": name, "ChallengeParameters": params, "Session": strings.Repeat("s", 20)})
	}))
	t.Cleanup(srv.Close)
	return at(srv.URL)
}

func TestChallengesThatCannotBeAnswered(t *testing.T) {
	tests := []struct {
		name   string
		params map[string]string
		code   agent.Code
		says   string
	}{
		{"DEVICE_SRP_AUTH", nil, agent.CodeConfiguration, "asks for DEVICE_SRP_AUTH, which this version cannot answer"},
		{"DEVICE_PASSWORD_VERIFIER", nil, agent.CodeConfiguration, "no SRP exchange was started"},
		{"PASSWORD_VERIFIER", nil, agent.CodeConfiguration, "no SRP exchange was started"},
		{"WEB_AUTHN", nil, agent.CodeConfiguration, "asks for a passkey (WEB_AUTHN), which only a browser can use; set domain and redirect_uris"},
		{"ADMIN_NO_SRP_AUTH", nil, agent.CodeConfiguration, "asks for ADMIN_NO_SRP_AUTH, which this version cannot answer"},
		{"SELECT_CHALLENGE", nil, agent.CodeConfiguration, "none of the choices is known"},
		{"MFA_SETUP", map[string]string{"MFAS_CAN_SETUP": `["SMS_MFA","EMAIL_OTP"]`}, agent.CodeConfiguration, "second factor by SMS_MFA or EMAIL_OTP and does not accept an authenticator app; ask the user pool's administrator to give the user a phone number"},
		{"MFA_SETUP", map[string]string{"MFAS_CAN_SETUP": `"`}, agent.CodeConfiguration, "not JSON"},
		{"MFA_SETUP", nil, agent.CodeConfiguration, "its secret is not valid for an authenticator app"},
		{"NEXT_YEARS_CHALLENGE", nil, agent.CodeConfiguration, "asks for NEXT_YEARS_CHALLENGE"},
		{"\x1b[2Jboo", nil, agent.CodeConfiguration, "asks for a challenge with an invalid name"},
		{"", nil, agent.CodeUnavailable, "neither with tokens nor with a challenge"},
		{"SELECT_MFA_TYPE", nil, agent.CodeConfiguration, "challenge SELECT_MFA_TYPE from Cognito cannot be answered: none of the choices is known"},
		{"SELECT_MFA_TYPE", map[string]string{"MFAS_CAN_CHOOSE": "SMS"}, agent.CodeConfiguration, "not JSON"},
		{"SELECT_MFA_TYPE", map[string]string{"MFAS_CAN_CHOOSE": `["\u001b[2J"]`}, agent.CodeConfiguration, "none of the choices is known"},
		{"NEW_PASSWORD_REQUIRED", map[string]string{"requiredAttributes": `["a b"]`}, agent.CodeConfiguration, "invalid name"},
		{"NEW_PASSWORD_REQUIRED", map[string]string{"requiredAttributes": `{`}, agent.CodeConfiguration, "not JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), challenger(t, test.name, test.params), ada(), unasked(t))
			wantError(t, err, test.code, test.says)
		})
	}
}

func TestEndlessChallenges(t *testing.T) {
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), challenger(t, "SMS_MFA", nil), ada(), always("1"))
	wantError(t, err, agent.CodeInternal, "too many challenges: Cognito asked 30 in one sign-in")
}

// A prompt is shown on a terminal, and the server chooses part of it.
func TestPromptIsPrintable(t *testing.T) {
	env := challenger(t, "SOFTWARE_TOKEN_MFA", map[string]string{"FRIENDLY_DEVICE_NAME": "my\x1b[2J\r\nphone" + strings.Repeat("é", 500)})
	var prompt string
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		prompt = c.Prompt
		return nil, errors.New("enough")
	})
	if err == nil || strings.ContainsAny(prompt, "\x1b\r\n") || len(prompt) > 200 || !strings.Contains(prompt, "my?[2J phoneé") {
		t.Errorf("%d bytes: %q", len(prompt), prompt)
	}
}

func TestNoRefreshTokenAtSignIn(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"AuthenticationResult":{"IdToken":"a.b.c"}}`)
	}))
	t.Cleanup(srv.Close)
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), at(srv.URL), ada(), unasked(t))
	wantError(t, err, agent.CodeConfiguration, "without a refresh token")
}
