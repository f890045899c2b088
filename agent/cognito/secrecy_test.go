package cognito_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A witness collects the log and all errors, in every form in which they can be printed.
type witness struct{ text testlog.Buffer }

func (w *witness) hear(values ...any) {
	for _, v := range values {
		_, _ = fmt.Fprintf(&w.text, "%v %+v %#v %q\n", v, v, v, v)
		if err, ok := v.(error); ok {
			for e := err; e != nil; e = errors.Unwrap(e) {
				_, _ = fmt.Fprintf(&w.text, "%T %v %+v\n", e, e, e)
			}
		}
	}
}

func (w *witness) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&w.text, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
}

// echo answers a call with its whole content, as some servers have done.
func echo(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": body.String()})
	}
}

// No log record at debug level and no error, however it is printed, contains a password, a code, a
// refresh token, an ID token or a session.
func TestSecrecy(t *testing.T) { synctest.Test(t, testSecrecy) }

func testSecrecy(t *testing.T) {
	const newPassword, mfaCode = "a brand-new password", "918273645546"
	w := &witness{}
	srv, _ := startInMemory(t, cognitotest.Rotation(0), cognitotest.Code(mfaCode))
	srv.EditUser(username, func(u *cognitotest.User) { u.MFA, u.Status = []string{"SMS_MFA"}, cognitotest.ForceChangePassword })
	secrets := map[string]string{"password": password, "new password": newPassword, "code": mfaCode}
	learn := func(name string, g agent.AuthResult) {
		if !g.IDToken.IsZero() {
			secrets["ID token of "+name] = g.IDToken.Reveal()
			secrets["signature of "+name] = g.IDToken.Reveal()[strings.LastIndex(g.IDToken.Reveal(), ".")+1:]
		}
		if !g.SignIn.RefreshToken.IsZero() {
			secrets["refresh token of "+name] = g.SignIn.RefreshToken.Reveal()
		}
	}
	ask := func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		w.hear(c)
		return agent.Answers{
			"new_password": agent.NewSecret(newPassword), "new_password_again": agent.NewSecret(newPassword), "code": agent.NewSecret(mfaCode),
		}, nil
	}
	var mirror http.Handler // answers at any other host
	a := cognito.New(cognito.Options{Logger: w.logger(), HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == hostOf(srv) {
			return srv.Client().Transport.RoundTrip(r)
		}
		answer := httptest.NewRecorder()
		mirror.ServeHTTP(answer, r)
		return answer.Result(), nil
	})}})
	env := environment(srv)

	g, err := a.Login(t.Context(), env, ada(), ask)
	if err != nil {
		t.Fatal(err)
	}
	w.hear(g)
	learn("the sign-in", g)
	req := ada()
	req.Password = agent.NewSecret(newPassword)

	faults := map[string]cognitotest.Fault{
		"drop": cognitotest.Drop(), "lost": cognitotest.Drop().After(), "502": cognitotest.BadGateway(), "500": cognitotest.Internal(),
		"throttled": cognitotest.Throttle(), "blocked": cognitotest.Blocked(),
		"half": cognitotest.Answer(200, "application/x-amz-json-1.1", `{"AuthenticationResult":{"IdToken":"`+g.IDToken.Reveal()),
		"odd":  cognitotest.Answer(200, "application/x-amz-json-1.1", `{"AuthenticationResult":{"ExpiresIn":"`+g.IDToken.Reveal()+`"}}`),
		"code": cognitotest.Refuse("NotAuthorizedException", "token "+g.SignIn.RefreshToken.Reveal()+" is bad"),
	}
	for name, f := range faults {
		srv.ClearFaults()
		srv.FailNext(cognitotest.APICall, 2, f)
		_, err = a.Refresh(t.Context(), env, g.SignIn, func(s agent.SignIn) { learn(name, agent.AuthResult{SignIn: s}) })
		w.hear(err)
		srv.ClearFaults()
		srv.FailNext(cognitotest.APICall, 1, f)
		_, err := a.Login(t.Context(), env, req, ask)
		w.hear(err)
		srv.ClearFaults()
		srv.FailNext("RespondToAuthChallenge", 1, f)
		_, err = a.Login(t.Context(), env, req, ask)
		w.hear(err)
		srv.ClearFaults()
		srv.FailNext("RevokeToken", 1, f)
		w.hear(a.Revoke(t.Context(), env, g.SignIn))
	}
	srv.ClearFaults()
	if g, err = a.Login(t.Context(), env, req, ask); err != nil {
		t.Fatal(err)
	}
	learn("the second sign-in", g)
	for _, f := range forgeries() {
		srv.Forge(1, f.forgery)
		var kept agent.SignIn
		_, err := a.Refresh(t.Context(), env, g.SignIn, func(s agent.SignIn) { kept = s })
		w.hear(err, kept)
		g.SignIn = kept
		learn(f.name, agent.AuthResult{SignIn: kept})
	}
	for _, code := range []string{"NotAuthorizedException", "InvalidParameterException", "UnheardOf", "", "InternalErrorException"} {
		for _, status := range []int{200, 400, 403, 429, 500} {
			mirror = echo(status, code)
			for _, err := range attempts(t, a, at("https://mirror.example"), req, g.SignIn) {
				w.hear(err)
			}
		}
	}
	for _, c := range srv.Log() {
		var body struct{ Session string }
		if json.Unmarshal(c.Body, &body) == nil && body.Session != "" {
			secrets["a session"] = body.Session
		}
	}
	text := w.text.String()
	for name, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the %s got out", name)
		}
	}
	// Without these the test would check nothing.
	for _, must := range []string{`"call":"GetTokensFromRefreshToken"`, `"call":"RespondToAuthChallenge"`, `"call":"RevokeToken"`, "signing keys", "the new ID token was refused"} {
		if !strings.Contains(text, must) {
			t.Errorf("nothing was heard of %s", must)
		}
	}
	if len(secrets) < 8+len(forgeries()) {
		t.Errorf("only %d secrets were looked for", len(secrets))
	}
}

// The same for the setup and recovery of accounts: the secret of an authenticator app, a
// device's password, the client's secret and its hashes, SRP's proofs, access tokens.
func TestSecrecyOfSetUpAndRecovery(t *testing.T) {
	testpeer.Slow(t)
	synctest.Test(t, testSecrecyOfSetUpAndRecovery)
}

func testSecrecyOfSetUpAndRecovery(t *testing.T) {
	const mailed, hostile = "918273645546", "eyJ.echo"
	w := &witness{}
	secrets := map[string]string{"password": password, "new password": next, "code": mailed, "client secret": clientSecret}
	faults := map[string]cognitotest.Fault{
		"none": {}, "drop": cognitotest.Drop(),
		"code": cognitotest.Refuse("NotAuthorizedException", hostile+password), "input": cognitotest.Refuse("InvalidParameterException", hostile+password),
	}
	ops := []string{"AssociateSoftwareToken", "VerifySoftwareToken", "ConfirmDevice", "RespondToAuthChallenge", "ForgotPassword", "ConfirmForgotPassword", "ChangePassword", "GlobalSignOut", "RevokeToken"}
	ask := func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		given := agent.Answers{"new_password": agent.NewSecret(next), "code": agent.NewSecret(mailed)}
		if c.TOTPSecret != "" {
			secrets["secret of an app "+c.TOTPSecret[:4]] = c.TOTPSecret
			given["code"] = agent.NewSecret(cognitotest.TOTP(c.TOTPSecret, time.Now()))
		}
		return given, nil
	}
	for name, fault := range faults {
		for _, op := range ops {
			srv, _ := startInMemory(t, cognitotest.Code(mailed), cognitotest.ClientSecret(clientSecret), cognitotest.RememberDevices(cognitotest.DevicesAlways), cognitotest.Rotation(0))
			a := cognito.New(cognito.Options{Logger: w.logger(), HTTPClient: srv.Client()})
			srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{"MFA_SETUP"} })
			env := environment(srv)
			env.ClientSecret, env.AuthFlow = fixedSecret(clientSecret), agent.FlowSRP
			if name != "none" {
				srv.FailNext(op, -1, fault)
			}
			g, err := a.Login(t.Context(), env, ada(), ask)
			w.hear(g, err)
			if err == nil {
				secrets["device's password "+name] = g.SignIn.Device.Password.Reveal()
				req := ada()
				req.Device = g.SignIn.Device
				_, err := a.Login(t.Context(), env, req, ask)
				w.hear(err, a.RevokeAll(t.Context(), env, g.SignIn, func(s agent.SignIn) { w.hear(s) }))
			}
			srv.EditUser(username, func(u *cognitotest.User) { u.MFA = nil })
			for _, action := range []agent.RecoverAction{agent.RecoverChange, agent.RecoverReset, agent.RecoverConfirm, agent.RecoverResend} {
				req := request(action)
				w.hear(req, a.Recover(t.Context(), env, req, ask))
			}
			for _, c := range srv.Log() {
				hash, _ := proofs(t, orEmpty(c))
				for _, field := range []string{"PASSWORD_CLAIM_SIGNATURE", "PASSWORD_CLAIM_SECRET_BLOCK", "SRP_A"} {
					if v := sent(t, orEmpty(c), field); v != "" {
						secrets[field+" "+v[:8]] = v
					}
				}
				var body struct{ AccessToken string }
				_ = json.Unmarshal(orEmpty(c).Body, &body)
				for field, v := range map[string]string{"hash": hash, "access token": body.AccessToken} {
					if v != "" {
						secrets[field+" "+c.Op] = v
					}
				}
			}
		}
	}
	text := w.text.String()
	for name, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the %s got out", name)
		}
	}
	if strings.Contains(text, hostile) {
		t.Error("Cognito's message got out")
	}
	for _, op := range ops { // what would make this test blind
		if !strings.Contains(text, `"call":"`+op+`"`) {
			t.Errorf("nothing was heard of %s", op)
		}
	}
	if len(secrets) < 50 {
		t.Errorf("only %d secrets were looked for", len(secrets))
	}
}

func attempts(t *testing.T, a *cognito.Authenticator, env agent.Environment, req agent.LoginRequest, s agent.SignIn) []error {
	_, login := a.Login(t.Context(), env, req, always("918273645546"))
	_, refresh := a.Refresh(t.Context(), env, s, nobody)
	return []error{login, refresh, a.Revoke(t.Context(), env, s)}
}
