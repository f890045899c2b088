package cognito_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// unready starts a pool whose user has to set up an authenticator app.
func unready(t *testing.T, opts ...cognitotest.Option) *cognitotest.Server {
	t.Helper()
	srv := start(t, opts...)
	srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{"MFA_SETUP"} })
	return srv
}

// A first sign-in: temporary password, new password, authenticator app; and a second one,
// with a code of that app.
func TestSetUp(t *testing.T) {
	srv := unready(t)
	srv.EditUser(username, func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword })
	a := cognito.New(cognito.Options{})
	var secret string
	var problems []string
	ask := func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		switch c.Name {
		case "NEW_PASSWORD_REQUIRED":
			return agent.Answers{"new_password": agent.NewSecret("longer than that")}, nil
		case "MFA_SETUP":
		default:
			return nil, fmt.Errorf("asked %s", c.Name)
		}
		problems = append(problems, c.Problem)
		if secret != "" && c.TOTPSecret != secret {
			t.Error("another secret, while the first is in the app")
		}
		secret = c.TOTPSecret
		u, err := url.Parse(c.TOTPURL)
		if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/KYC API:ada" ||
			u.Query().Get("secret") != secret || u.Query().Get("issuer") != "KYC API" || strings.Contains(c.TOTPURL, "+") {
			t.Errorf("URL %s, %v", c.TOTPURL, err)
		}
		if inputNames(c) != "code" || !strings.Contains(c.Prompt, "QR code") || strings.Contains(c.Prompt, secret) {
			t.Errorf("%+v", c)
		}
		switch len(problems) {
		case 1:
			return agent.Answers{"code": agent.NewSecret("000000")}, nil
		case 2:
			return agent.Answers{}, nil
		}
		good := cognitotest.TOTP(secret, time.Now())
		return agent.Answers{"code": agent.NewSecret(good[:3] + " " + good[3:])}, nil
	}
	g, err := a.Login(t.Context(), environment(srv), ada(), ask)
	if err != nil || g.SignIn.Username != username {
		t.Fatalf("%+v, %v", g.SignIn, err)
	}
	if len(problems) != 3 || problems[0] != "" || !strings.Contains(problems[1], "check the clock of the device") || problems[2] != "no code was given" {
		t.Errorf("problems: %q", problems)
	}
	req := ada()
	req.Password = agent.NewSecret("longer than that")
	// A code works once: the next half minute's.
	_, err = a.Login(t.Context(), environment(srv), req, script(t,
		turn{"SOFTWARE_TOKEN_MFA", "", "", "code", code(cognitotest.TOTP(secret, time.Now().Add(30*time.Second)))}))
	if err != nil {
		t.Error(err)
	}
}

// The label contains a user name that would break a URL.
func TestSetUpURL(t *testing.T) {
	srv := unready(t)
	srv.AddUser(cognitotest.User{Name: "ada+é:/?&b@example.com", Password: password, MFA: []string{"MFA_SETUP"}})
	req := ada()
	req.Username = "ada+é:/?&b@example.com"
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), req, func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		u, err := url.Parse(c.TOTPURL)
		if err != nil || u.Path != "/KYC API:"+req.Username || len(u.Query()) != 2 {
			t.Errorf("%s: %v", c.TOTPURL, err)
		}
		return nil, errors.New("enough")
	})
	wantError(t, err, agent.CodeLoginRequired, "given up at MFA_SETUP")
}

func TestSetUpFailures(t *testing.T) {
	tests := []struct {
		name  string
		op    string
		fault cognitotest.Fault
		code  agent.Code
		says  string
	}{
		{"no session", "AssociateSoftwareToken", cognitotest.Refuse("NotAuthorizedException", "Invalid session for the user, session is expired."), agent.CodeLoginRequired, "took longer than Cognito's 3 minutes"},
		{"dropped", "AssociateSoftwareToken", cognitotest.Drop(), agent.CodeUnavailable, "closed the connection"},
		{"not for this user", "AssociateSoftwareToken", cognitotest.Refuse("SoftwareTokenMFANotFoundException", "m"), agent.CodeDenied, "no such MFA method"},
		{"no secret", "AssociateSoftwareToken", cognitotest.Answer(200, "application/x-amz-json-1.1", `{"Session":"s"}`), agent.CodeConfiguration, "its secret is not valid for an authenticator app"},
		{"a terminal's sequence", "AssociateSoftwareToken", cognitotest.Answer(200, "application/x-amz-json-1.1", `{"SecretCode":"\u001b[2JAAAAAAAAAAAAAAAA"}`), agent.CodeConfiguration, "its secret is not valid for an authenticator app"},
		{"verification dropped", "VerifySoftwareToken", cognitotest.Drop(), agent.CodeUnavailable, "closed the connection"},
		{"verification too late", "VerifySoftwareToken", cognitotest.Refuse("NotAuthorizedException", "Invalid session for the user."), agent.CodeLoginRequired, "Cognito ended the sign-in"},
		{"verification throttled", "VerifySoftwareToken", cognitotest.Throttle(), agent.CodeThrottled, "Too many requests."},
		{"always wrong", "VerifySoftwareToken", cognitotest.Refuse("EnableSoftwareTokenMFAException", "Code mismatch"), agent.CodeLoginRequired, "10 answers in a row were refused"},
		{"an error for a status", "VerifySoftwareToken", cognitotest.Answer(200, "application/x-amz-json-1.1", `{"Status":"ERROR"}`), agent.CodeLoginRequired, "10 answers in a row were refused"},
		{"the last step", "RespondToAuthChallenge", cognitotest.Refuse("NotAuthorizedException", "m"), agent.CodeLoginRequired, "Cognito ended the sign-in"},
	}
	for _, test := range tests {
		t.Run(test.name, inBubble(func(t *testing.T) {
			srv, a := startInMemory(t)
			srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{"MFA_SETUP"} })
			srv.FailNext(test.op, -1, test.fault)
			ask := func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
				return agent.Answers{"code": agent.NewSecret(cognitotest.TOTP(c.TOTPSecret, time.Now()))}, nil
			}
			g, err := a.Login(t.Context(), environment(srv), ada(), ask)
			wantError(t, err, test.code, test.says)
			if g != (agent.AuthResult{}) {
				t.Error("something was granted")
			}
		}))
	}
}

// Cognito ends the session after a few wrong codes, and after three minutes.
func TestSetUpEnds(t *testing.T) {
	srv := unready(t)
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), always("000000"))
	wantError(t, err, agent.CodeLoginRequired, "Cognito ended the sign-in: it took too long, or there were too many wrong answers")
	synctest.Test(t, func(t *testing.T) {
		srv := cognitotest.NewInMemory()
		t.Cleanup(srv.Close)
		srv.AddUser(cognitotest.User{Name: username, Password: password, MFA: []string{"MFA_SETUP"}})
		_, err := cognito.New(cognito.Options{HTTPClient: srv.Client()}).Login(t.Context(), environment(srv), ada(), after(4*time.Minute, always("1")))
		wantError(t, err, agent.CodeLoginRequired, "the sign-in took longer than Cognito's 3 minutes; begin again: run: kyc-agentd login prod")
	})
}

// If Cognito only says that a session is invalid, this machine's clock shows whether it expired.
func TestSessionTooOldByOurClock(t *testing.T) {
	now := time.Now()
	srv := start(t)
	srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{"SMS_MFA"} })
	srv.FailNext("RespondToAuthChallenge", -1, cognitotest.Refuse("NotAuthorizedException", "Invalid session for the user."))
	a := cognito.New(cognito.Options{Now: func() time.Time { return now }})
	for passed, says := range map[time.Duration]string{2 * time.Minute: "Cognito ended the sign-in", 3 * time.Minute: "the sign-in took longer than Cognito's 3 minutes"} {
		_, err := a.Login(t.Context(), environment(srv), ada(), func(context.Context, agent.Challenge) (agent.Answers, error) {
			now = now.Add(passed)
			return agent.Answers{"code": agent.NewSecret("1")}, nil
		})
		wantError(t, err, agent.CodeLoginRequired, says)
	}
}

func TestCustom(t *testing.T) {
	question := func(params map[string]string) cognitotest.Question {
		return cognitotest.Question{Parameters: params, Answer: "yes"}
	}
	tests := []struct {
		name   string
		params map[string]string
		prompt string
	}{
		{"a prompt", map[string]string{"prompt": "Say yes", "captchaUrl": "https://x"}, "Say yes"},
		{"a question, in capitals", map[string]string{"Question": "Well?", "type": "Q"}, "Well?"},
		{"the better name", map[string]string{"hint": "hint", "message": "message"}, "message"},
		{"no known name", map[string]string{"b": "2", "a": "1", "USERNAME": "ada"}, "a: 1, b: 2"},
		{"nothing at all", nil, "The user pool asks a custom question without saying which"},
		{"a terminal's sequence", map[string]string{"prompt": "a\x1b[2J\r\nb\u202ec"}, "a?[2J b?c"},
		{"an empty prompt", map[string]string{"prompt": "\u2028\n ", "x": "y"}, "x: y"},
		{"a prompt of nothing that can be shown", map[string]string{"prompt": "\x00 ", "x": "y"}, "?"},
		{"a long one", map[string]string{"prompt": strings.Repeat("é", 2048)}, strings.Repeat("é", 2048)},
		{"a long one under another name", map[string]string{"rules": strings.Repeat("é", 500)}, "rules: " + strings.Repeat("é", 500)},
		{"one without an end", map[string]string{"prompt": strings.Repeat("é", 5000)}, strings.Repeat("é", 4096) + "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			srv.EditUser(username, func(u *cognitotest.User) { u.Custom = []cognitotest.Question{question(test.params)} })
			env := environment(srv)
			env.AuthFlow = "custom"
			req := ada()
			req.Password = agent.Secret{}
			var prompts []string
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, req, func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
				prompts = append(prompts, c.Prompt)
				return agent.Answers{"answer": agent.NewSecret("yes")}, nil
			})
			if err != nil || len(prompts) != 1 || prompts[0] != test.prompt {
				t.Errorf("prompts %q, %v", prompts, err)
			}
		})
	}
}

// There are several rounds; a wrong answer counts as a round, too.
func TestCustomRounds(t *testing.T) {
	srv := start(t)
	srv.EditUser(username, func(u *cognitotest.User) {
		u.Custom = []cognitotest.Question{
			{Parameters: map[string]string{"prompt": "One?"}, Answer: "1"},
			{Parameters: map[string]string{"prompt": "Two?"}, Answer: "2"},
			{Parameters: map[string]string{"prompt": "Three?"}, Answer: "3"},
		}
	})
	env := environment(srv)
	env.AuthFlow = "custom"
	answer := func(s string) map[string]string { return map[string]string{"answer": s} }
	a := cognito.New(cognito.Options{})
	_, err := a.Login(t.Context(), env, ada(), script(t,
		turn{"CUSTOM_CHALLENGE", "One?", "", "answer", nil},
		turn{"CUSTOM_CHALLENGE", "One?", "no answer was given", "answer", answer("1")},
		turn{"CUSTOM_CHALLENGE", "Two?", "", "answer", answer("3")},
		turn{"CUSTOM_CHALLENGE", "Two?", "asked again", "answer", answer("2")},
		turn{"CUSTOM_CHALLENGE", "Three?", "", "answer", answer("3")},
	))
	if err != nil {
		t.Error(err)
	}
	_, err = a.Login(t.Context(), env, ada(), always("wrong"))
	wantError(t, err, agent.CodeLoginRequired, "Cognito ended the sign-in", "begin again: run: kyc-agentd login prod")
}

// No challenge of a server makes a prompt that is unsafe or too long for a terminal.
func FuzzChallenge(f *testing.F) {
	f.Add("CUSTOM_CHALLENGE", "prompt", "Say\x1b[2J yes")
	f.Add("SELECT_MFA_TYPE", "MFAS_CAN_CHOOSE", `["SMS_MFA"]`)
	f.Add("NEW_PASSWORD_REQUIRED", "requiredAttributes", `["userAttributes.name"]`)
	f.Add("MFA_SETUP", "MFAS_CAN_SETUP", `["SOFTWARE_TOKEN_MFA"]`)
	f.Add("EMAIL_OTP", "CODE_DELIVERY_DESTINATION", "a***@\u202e")
	f.Add("PASSWORD_VERIFIER", "SRP_B", "0")
	f.Fuzz(func(t *testing.T, name, key, value string) {
		body, _ := json.Marshal(map[string]any{"ChallengeName": name, "ChallengeParameters": map[string]string{key: value}, "Session": "s"})
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			_, _ = w.Write(body)
			return w.Result(), nil
		})}
		_, err := cognito.New(cognito.Options{HTTPClient: client}).Login(t.Context(), at("https://cognito.example"), ada(), func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
			for _, s := range []string{c.Name, c.Prompt, c.TOTPURL, inputNames(c)} {
				if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x202e }) || len(s) > 4000 {
					t.Errorf("%q", s)
				}
			}
			return nil, errors.New("enough")
		})
		if err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%v", err)
		}
	})
}
