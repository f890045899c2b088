package cognito_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/agent/cognito/srp"
)

// calls returns the API calls that arrived, each with its flow or challenge.
func calls(srv *cognitotest.Server) []string {
	var list []string
	for _, c := range srv.Log() {
		if c.Op != cognitotest.JWKS {
			list = append(list, strings.TrimSuffix(c.Op+" "+c.Flow, " "))
		}
	}
	return list
}

// sent returns a field of the parameters or responses in a call's body.
func sent(t *testing.T, c cognitotest.Call, name string) string {
	t.Helper()
	var body struct{ AuthParameters, ChallengeResponses map[string]string }
	if err := json.Unmarshal(c.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body.AuthParameters[name] + body.ChallengeResponses[name]
}

func respondTo(challenges ...string) []string {
	list := make([]string, len(challenges))
	for i, c := range challenges {
		list[i] = "RespondToAuthChallenge " + c
	}
	return list
}

// TestFlows signs in with every flow.
func TestFlows(t *testing.T) {
	tests := []struct {
		name     string
		flow     agent.AuthFlow
		settings []cognitotest.Setting
		user     func(*cognitotest.User)
		without  bool // a password
		turns    []turn
		calls    []string
		shown    bool // the password goes over the wire
	}{
		{name: "default", calls: []string{"InitiateAuth USER_PASSWORD_AUTH"}, shown: true},
		{name: "password", flow: agent.FlowPassword, calls: []string{"InitiateAuth USER_PASSWORD_AUTH"}, shown: true},
		{name: "SRP", flow: agent.FlowSRP, settings: []cognitotest.Setting{cognitotest.Flows("USER_SRP_AUTH")},
			calls: append([]string{"InitiateAuth USER_SRP_AUTH"}, respondTo("PASSWORD_VERIFIER")...)},
		{name: "SRP and MFA", flow: agent.FlowSRP, user: func(u *cognitotest.User) { u.MFA = []string{"SMS_MFA"} },
			turns: []turn{{"SMS_MFA", "", "", "code", code("123456")}},
			calls: append([]string{"InitiateAuth USER_SRP_AUTH"}, respondTo("PASSWORD_VERIFIER", "SMS_MFA")...)},
		{name: "choice", flow: agent.FlowChoice, settings: []cognitotest.Setting{cognitotest.Flows("USER_AUTH")},
			calls: append([]string{"InitiateAuth USER_AUTH"}, respondTo("PASSWORD_VERIFIER")...)},
		{name: "choice without SRP", flow: agent.FlowChoice, settings: []cognitotest.Setting{cognitotest.FirstFactors("PASSWORD", "EMAIL_OTP")},
			calls: append([]string{"InitiateAuth USER_AUTH"}, respondTo("SELECT_CHALLENGE")...), shown: true},
		{name: "choice of codes", flow: agent.FlowChoice, settings: []cognitotest.Setting{cognitotest.FirstFactors("EMAIL_OTP", "SMS_OTP")},
			turns: []turn{
				{"SELECT_CHALLENGE", "How do you want to sign in? 1 = code by e-mail (EMAIL_OTP), 2 = code by SMS (SMS_OTP)", "", "choice", map[string]string{"choice": "3"}},
				{"SELECT_CHALLENGE", "", "not one of the choices", "choice", map[string]string{"choice": "2"}},
				{"SMS_OTP", "Code sent by SMS (+******4567)", "", "code", code("1")},
				{"SMS_OTP", "", "wrong code", "code", code("123456")},
			},
			calls: append([]string{"InitiateAuth USER_AUTH"}, respondTo("SELECT_CHALLENGE", "SMS_OTP", "SMS_OTP")...)},
		{name: "choice without a password", flow: agent.FlowChoice, without: true, user: func(u *cognitotest.User) { u.Passkey = true },
			turns: []turn{
				{"SELECT_CHALLENGE", "1 = password (PASSWORD), 2 = password, which does not leave this machine (PASSWORD_SRP), 3 = code by e-mail (EMAIL_OTP), 4 = code by SMS (SMS_OTP); for the passkey (WEB_AUTHN), set domain and redirect_uris of environment prod, which the user pool's administrator knows, then run: kyc-agentd reload && kyc-agentd login --browser prod",
					"", "choice", map[string]string{"choice": "WEB_AUTHN"}},
				{"SELECT_CHALLENGE", "", "not one of the choices", "choice", map[string]string{"choice": "email_otp"}},
				{"EMAIL_OTP", "Code sent by e-mail (a***@e***)", "", "code", code("123456")},
			},
			calls: append([]string{"InitiateAuth USER_AUTH"}, respondTo("SELECT_CHALLENGE", "EMAIL_OTP")...)},
		{name: "choice of the password", flow: agent.FlowChoice, without: true,
			turns: []turn{
				{"SELECT_CHALLENGE", "", "", "choice", map[string]string{"choice": "2"}},
				{"PASSWORD", "", "", "password*", nil},
				{"PASSWORD", "", "no password was given", "password*", map[string]string{"password": password}},
			},
			calls: append([]string{"InitiateAuth USER_AUTH"}, respondTo("SELECT_CHALLENGE", "PASSWORD_VERIFIER")...)},
		{name: "choice of the password, sent", flow: agent.FlowChoice, without: true,
			turns: []turn{
				{"SELECT_CHALLENGE", "", "", "choice", map[string]string{"choice": "1"}},
				{"PASSWORD", "", "", "password*", map[string]string{"password": password}},
			},
			calls: append([]string{"InitiateAuth USER_AUTH"}, respondTo("SELECT_CHALLENGE")...), shown: true},
		{name: "custom after the password", flow: "custom",
			user: func(u *cognitotest.User) {
				u.Custom = []cognitotest.Question{{Parameters: map[string]string{"prompt": "Which year?"}, Answer: "1815"}}
			},
			turns: []turn{{"CUSTOM_CHALLENGE", "Which year?", "", "answer", map[string]string{"answer": "1815"}}},
			calls: append([]string{"InitiateAuth CUSTOM_AUTH"}, respondTo("PASSWORD_VERIFIER", "CUSTOM_CHALLENGE")...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			srv.Set(test.settings...)
			srv.EditUser(username, func(u *cognitotest.User) {
				u.Phone = "+1555124567"
				if test.user != nil {
					test.user(u)
				}
			})
			env := environment(srv)
			env.AuthFlow = test.flow
			req := ada()
			req.Username = "ada@example.com" // an alias
			if test.without {
				req.Password = agent.Secret{}
			}
			g, err := cognito.New(cognito.Options{}).Login(t.Context(), env, req, script(t, test.turns...))
			if err != nil {
				t.Fatal(err)
			}
			if g.SignIn.Username != username || g.IDToken.IsZero() || g.SignIn.RefreshToken.IsZero() {
				t.Errorf("%+v", g.SignIn)
			}
			if got := calls(srv); !slices.Equal(got, test.calls) {
				t.Errorf("calls %q\nwant %q", got, test.calls)
			}
			var shown bool
			for _, c := range srv.Log() {
				shown = shown || strings.Contains(string(c.Body), password)
			}
			if shown != test.shown {
				t.Errorf("the password was on the wire: %v, want %v", shown, test.shown)
			}
		})
	}
}

func TestFlowFailures(t *testing.T) {
	wrong, unknown := ada(), ada()
	wrong.Password, unknown.Username = agent.NewSecret("nope"), "eve"
	none := ada()
	none.Password = agent.Secret{}
	refused := "prod: Invalid username or password; check both, then run: kyc-agentd login prod"
	passkey := func(u *cognitotest.User) { u.Passkey, u.Password, u.Email = true, "", "" }
	tests := []struct {
		name     string
		flow     agent.AuthFlow
		settings []cognitotest.Setting
		user     func(*cognitotest.User)
		req      agent.LoginRequest
		code     agent.Code
		says     string
	}{
		{name: "SRP, wrong password", flow: agent.FlowSRP, req: wrong, code: agent.CodeLoginRequired, says: refused},
		{name: "SRP, unknown user", flow: agent.FlowSRP, req: unknown, code: agent.CodeLoginRequired, says: refused},
		{name: "choice, wrong password", flow: agent.FlowChoice, req: wrong, code: agent.CodeLoginRequired, says: refused},
		{name: "choice, wrong password, sent", flow: agent.FlowChoice, settings: []cognitotest.Setting{cognitotest.FirstFactors("PASSWORD")},
			req: wrong, code: agent.CodeLoginRequired, says: refused},
		{name: "choice, unknown user", flow: agent.FlowChoice, req: unknown, code: agent.CodeLoginRequired, says: refused},
		{name: "choice of a passkey alone", flow: agent.FlowChoice, user: passkey, req: ada(), code: agent.CodeConfiguration,
			says: "a passkey (WEB_AUTHN), which only a browser can use"},
		{name: "SRP off", flow: agent.FlowSRP, settings: []cognitotest.Setting{cognitotest.Flows("USER_PASSWORD_AUTH")}, req: ada(),
			code: agent.CodeConfiguration, says: "does not allow the auth_flow of environment prod (it lacks ALLOW_USER_SRP_AUTH); set auth_flow to one that it allows"},
		{name: "choice off", flow: agent.FlowChoice, settings: []cognitotest.Setting{cognitotest.Flows("USER_PASSWORD_AUTH")}, req: ada(),
			code: agent.CodeConfiguration, says: "it lacks ALLOW_USER_AUTH"},
		{name: "custom off", flow: "custom", settings: []cognitotest.Setting{cognitotest.Flows("USER_PASSWORD_AUTH")}, req: ada(),
			code: agent.CodeConfiguration, says: "it lacks ALLOW_CUSTOM_AUTH"},
		{name: "an unknown flow", flow: "oauth", req: ada(), code: agent.CodeConfiguration, says: `auth_flow is none of "password", "srp", "choice"`},
		{name: "SRP without a password", flow: agent.FlowSRP, req: none, code: agent.CodeUsage, says: "needs a user name and a password"},
		{name: "choice without a name", flow: agent.FlowChoice, req: agent.LoginRequest{Password: agent.NewSecret("p")}, code: agent.CodeUsage, says: "needs a user name"},
		{name: "SRP, disabled", flow: agent.FlowSRP, user: func(u *cognitotest.User) { u.Disabled = true }, req: ada(),
			code: agent.CodeLoginRequired, says: "this user is disabled"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			srv.Set(test.settings...)
			if test.user != nil {
				srv.EditUser(username, test.user)
			}
			env := environment(srv)
			env.AuthFlow = test.flow
			g, err := cognito.New(cognito.Options{}).Login(t.Context(), env, test.req, unasked(t))
			wantError(t, err, test.code, test.says)
			if g != (agent.AuthResult{}) {
				t.Error("something was granted")
			}
		})
	}
}

// The lockout counts proofs as it counts passwords, and says so.
func TestSRPLockout(t *testing.T) {
	srv := start(t)
	env := environment(srv)
	env.AuthFlow = agent.FlowSRP
	a := cognito.New(cognito.Options{})
	bad := ada()
	bad.Password = agent.NewSecret("nope")
	for range 5 {
		_, err := a.Login(t.Context(), env, bad, unasked(t))
		wantError(t, err, agent.CodeLoginRequired, "Invalid username or password")
	}
	_, err := a.Login(t.Context(), env, ada(), unasked(t))
	wantError(t, err, agent.CodeThrottled, "locked this account for a while")
}

// The proof contains the time of Cognito's clock, even if this machine's clock is wrong.
func TestProofHasCognitosTime(t *testing.T) {
	srv := start(t, cognitotest.ClockSkew(3*time.Hour))
	env := environment(srv)
	env.AuthFlow = agent.FlowSRP
	if _, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range srv.Log() {
		if c.Flow != "PASSWORD_VERIFIER" {
			continue
		}
		at, err := time.Parse("Mon Jan 2 15:04:05 UTC 2006", sent(t, c, "TIMESTAMP"))
		if d := time.Until(at) - 3*time.Hour; err != nil || d.Abs() > 10*time.Second {
			t.Errorf("off by %v, %v", d, err)
		}
		return
	}
	t.Error("no proof was sent")
}

// A server that violates the protocol gets no proof.
func TestNoProofForImpostors(t *testing.T) {
	good := map[string]string{"SALT": "5", "SRP_B": "7", "SECRET_BLOCK": "c2VjcmV0", "USER_ID_FOR_SRP": username}
	n := "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437" +
		"4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05" +
		"98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B" +
		"E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33" +
		"A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864" +
		"D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF"
	for name, test := range map[string]struct{ key, value, says string }{
		"B is zero":      {"SRP_B", "0", srp.ErrZeroB.Error()},
		"B is N":         {"SRP_B", n, srp.ErrZeroB.Error()},
		"B is no number": {"SRP_B", "g", srp.ErrMalformed.Error()},
		"no B":           {"SRP_B", "", srp.ErrMalformed.Error()},
		"no salt":        {"SALT", "", srp.ErrMalformed.Error()},
		"no block":       {"SECRET_BLOCK", "", srp.ErrMalformed.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			params := map[string]string{}
			maps.Copy(params, good)
			params[test.key] = test.value
			env := challenger(t, "PASSWORD_VERIFIER", params)
			env.AuthFlow = agent.FlowSRP
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t))
			wantError(t, err, agent.CodeConfiguration, "challenge PASSWORD_VERIFIER from Cognito cannot be answered: "+test.says)
		})
	}
	// There is no second proof for the same key either.
	env := challenger(t, "PASSWORD_VERIFIER", good)
	env.AuthFlow = agent.FlowSRP
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t))
	wantError(t, err, agent.CodeConfiguration, "no SRP exchange was started")
}

// PASSWORD and PASSWORD_SRP can also be sent as separate challenges.
func TestPasswordChallenges(t *testing.T) {
	for challenge, field := range map[string]string{"PASSWORD": "PASSWORD", "PASSWORD_SRP": "SRP_A"} {
		var answer map[string]string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var in struct{ ChallengeResponses map[string]string }
			_ = json.NewDecoder(r.Body).Decode(&in)
			if in.ChallengeResponses == nil {
				_, _ = fmt.Fprintf(w, `{"ChallengeName":%q,"ChallengeParameters":{},"Session":"ssssssssssssssssssss"}`, challenge)
				return
			}
			answer = in.ChallengeResponses
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"__type":"NotAuthorizedException","message":"Incorrect username or password."}`)
		}))
		env := at(srv.URL)
		env.AuthFlow = agent.FlowChoice
		_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t))
		wantError(t, err, agent.CodeLoginRequired, "Invalid username or password")
		srv.Close()
		if answer[field] == "" || answer["USERNAME"] != username {
			t.Errorf("%s: answered with %d fields", challenge, len(answer))
		}
	}
}

// Cognito's limit of three minutes applies to a choice, too.
func TestChoiceTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := cognitotest.NewInMemory()
		t.Cleanup(srv.Close)
		srv.AddUser(cognitotest.User{Name: username, Password: password, Email: "ada@example.com"})
		env := environment(srv)
		env.AuthFlow = agent.FlowChoice
		req := ada()
		req.Password = agent.Secret{}
		_, err := cognito.New(cognito.Options{HTTPClient: srv.Client()}).Login(t.Context(), env, req, after(4*time.Minute, always("1")))
		wantError(t, err, agent.CodeLoginRequired, "the sign-in took longer than Cognito's 3 minutes; begin again: run: kyc-agentd login prod")
	})
}
