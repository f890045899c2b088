package cognito_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// Where a person has to ask the pool's administrator, the line has what the administrator needs to
// find the call.
func TestRequestIDIsInTheLine(t *testing.T) {
	const id = "0f1c2a7e-0000-4000-8000-000000000001"
	tests := []struct {
		name, body string
		says       string
	}{
		{"trigger", `{"__type":"UserLambdaValidationException","message":"x"}`, "ask the user pool's administrator (request " + id + ")"},
		{"trigger, as NotAuthorized", `{"__type":"NotAuthorizedException","message":"PreAuthentication failed with error x"}`, "ask the user pool's administrator (request " + id + ")"},
		{"set up wrong", `{"__type":"InvalidUserPoolConfigurationException"}`, "tell the user pool's administrator (request " + id + ")"},
		{"an unknown challenge", `{"ChallengeName":"FACE_SCAN_V2"}`, "asks for FACE_SCAN_V2, which this version cannot answer; ask the user pool's administrator (request " + id + ")"},
		{"a passkey", `{"ChallengeName":"WEB_AUTHN"}`, "administrator (request " + id + ")"},
		{"a malformed challenge", `{"ChallengeName":"SELECT_MFA_TYPE"}`, "tell the user pool's administrator (request " + id + ")"},
		{"no ID token", `{"AuthenticationResult":{"RefreshToken":"r"}}`, "Cognito sent no ID token; tell the user pool's administrator (request " + id + ")"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amzn-Requestid", id)
				if strings.Contains(test.body, "__type") {
					w.WriteHeader(http.StatusBadRequest)
				}
				_, _ = io.WriteString(w, test.body)
			}))
			t.Cleanup(srv.Close)
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), at(srv.URL), ada(), unasked(t))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v does not say %q", err, test.says)
			}
		})
	}
}

// A refresh without an ID token keeps the sign-in, and says what is missing.
func TestRefreshWithoutIDToken(t *testing.T) {
	srv := start(t)
	a := cognito.New(cognito.Options{})
	s := signIn(t, a, environment(srv)).SignIn
	srv.FailNext(cognitotest.Refresh, 1, cognitotest.Answer(200, "application/x-amz-json-1.1", `{"AuthenticationResult":{"RefreshToken":"r2"}}`))
	var kept agent.SignIn
	_, err := a.Refresh(t.Context(), environment(srv), s, func(s agent.SignIn) { kept = s })
	wantError(t, err, agent.CodeInternal, "Cognito sent no ID token")
	if kept.RefreshToken.Reveal() != "r2" {
		t.Error("the new refresh token was lost")
	}
}

// What is not Cognito's API sends a person to the endpoint or to the network's sign-in page, and
// not to wait.
func TestNotCognito(t *testing.T) {
	const page = "<html><h1>Sign in</h1></html>"
	tests := []struct {
		name  string
		fault cognitotest.Fault
		code  agent.Code
		says  string
	}{
		{"404 of a hosted UI", cognitotest.Answer(404, "text/html", page), agent.CodeConfiguration, "answered HTTP 404 with something that is not JSON; check endpoint of environment prod"},
		{"405", cognitotest.Answer(405, "text/html", page), agent.CodeConfiguration, "HTTP 405"},
		{"400 of a load balancer", cognitotest.Answer(400, "text/html", page), agent.CodeConfiguration, "HTTP 400"},
		{"400 without a type", cognitotest.Answer(400, "application/json", `{"message":"no"}`), agent.CodeConfiguration, "HTTP 400 with something that is not a Cognito error; check endpoint"},
		{"401", cognitotest.Answer(401, "text/html", page), agent.CodeConfiguration, "a sign-in page (a portal)"},
		{"a redirect", cognitotest.Answer(302, "text/html", ""), agent.CodeUnavailable, "whether this network has a sign-in page (a portal)"},
		{"a redirect of a method", cognitotest.Answer(307, "text/plain", ""), agent.CodeUnavailable, "whether this network has a sign-in page (a portal)"},
		{"a page", cognitotest.Answer(200, "text/html; charset=utf-8", page), agent.CodeUnavailable, "whether this network has a sign-in page (a portal)"},
		{"half an answer", cognitotest.Answer(200, "application/x-amz-json-1.1", `{"Auth`), agent.CodeUnavailable, "try again in a minute"},
		{"408", cognitotest.Answer(408, "text/html", page), agent.CodeUnavailable, "try again in a minute"},
		{"407", cognitotest.Answer(407, "text/html", page), agent.CodeUnavailable, "HTTP 407"},
		{"an API gateway", cognitotest.RefuseStatus(403, "MissingAuthenticationTokenException", "Missing Authentication Token"), agent.CodeConfiguration, "is not Cognito's API: it wants a signature for InitiateAuth (MissingAuthenticationTokenException); check endpoint of environment prod"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			srv.FailNext("InitiateAuth", -1, test.fault)
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), unasked(t))
			wantError(t, err, test.code, test.says)
			if probe := cognito.New(cognito.Options{}).Probe(t.Context(), environment(srv)); probe.SignIn == nil || probe.SignIn.Err.Code != test.code {
				t.Errorf("probe: %+v", probe.SignIn)
			}
		})
	}
}

// Some filters compress what they pass on, although nobody asked for that.
func TestCompressedAnswers(t *testing.T) {
	srv := start(t)
	compress := roundTrip(func(r *http.Request) (*http.Response, error) {
		res, err := srv.Client().Transport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		answer := httptest.NewRecorder()
		for name := range res.Header {
			answer.Header().Set(name, res.Header.Get(name))
		}
		answer.Header().Set("Content-Encoding", "gzip")
		answer.Header().Del("Content-Length")
		answer.WriteHeader(res.StatusCode)
		w := gzip.NewWriter(answer)
		_, _ = io.Copy(w, res.Body)
		_ = w.Close()
		return answer.Result(), nil
	})
	a := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: compress}})
	g := signIn(t, a, environment(srv))
	if _, err := a.Refresh(t.Context(), environment(srv), g.SignIn, nobody); err != nil {
		t.Error(err)
	}
	bad := ada()
	bad.Password = agent.NewSecret("nope")
	_, err := a.Login(t.Context(), environment(srv), bad, unasked(t))
	wantError(t, err, agent.CodeLoginRequired, "Invalid username or password")
}

// A compressed answer may be small and its content endless.
func TestCompressedBomb(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `{"x":"`+strings.Repeat("x", 4<<20))
		_ = z.Close()
	}))
	t.Cleanup(srv.Close)
	_, err := cognito.New(cognito.Options{}).Refresh(t.Context(), at(srv.URL), stored, nobody)
	wantError(t, err, agent.CodeUnavailable, "an answer above 1 MiB")
}

// A list may have entries of a later Cognito; the others can be chosen.
func TestUnknownChoicesAreLeftOut(t *testing.T) {
	env := challenger(t, "SELECT_MFA_TYPE", map[string]string{"MFAS_CAN_CHOOSE": `["FIDO2_MFA","SMS_MFA","x y","WEB_AUTHN"]`})
	var prompt string
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		prompt = c.Prompt
		return nil, errors.New("enough")
	})
	if err == nil || prompt != "Which second factor do you want to use? 1 = SMS (SMS_MFA)" {
		t.Errorf("%q, %v", prompt, err)
	}
	env = challenger(t, "MFA_SETUP", map[string]string{"MFAS_CAN_SETUP": `["SMS_MFA","x y"]`})
	_, err = cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t))
	wantError(t, err, agent.CodeConfiguration, "second factor by SMS_MFA and does not accept")
	env = challenger(t, "MFA_SETUP", map[string]string{"MFAS_CAN_SETUP": `["x y"]`})
	_, err = cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t))
	wantError(t, err, agent.CodeConfiguration, "second factor by methods that this version does not know")
}

// The word that gets another code elsewhere is no code: Cognito would count it as a wrong one.
func TestResendInASignIn(t *testing.T) {
	for factor, says := range map[string]string{
		"SMS_MFA": "Cognito sends no second code in the same sign-in: to get one, begin again", "EMAIL_OTP": "to get one, begin again",
		"SOFTWARE_TOKEN_MFA": "the authenticator app shows it",
	} {
		srv := start(t)
		env := challenger(t, factor, nil)
		if factor == "SMS_MFA" {
			srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{factor} })
			env = environment(srv)
		}
		var problems []string
		_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
			if problems = append(problems, c.Problem); len(problems) == 5 {
				return nil, errors.New("enough")
			}
			return agent.Answers{"code": agent.NewSecret("Resend")}, nil
		})
		if err == nil || len(problems) != 5 || problems[1] != problems[4] || !strings.Contains(problems[4], says) {
			t.Errorf("%s: problems %q, %v", factor, problems, err)
		}
		if n := srv.Calls("RespondToAuthChallenge"); n != 0 {
			t.Errorf("%d tries were spent", n)
		}
	}
}

// Cognito names what it refuses of a first sign-in; a person must not change the wrong value.
func TestRefusedAttributes(t *testing.T) {
	given := map[string]string{"new_password": "longer than that", "userAttributes.email": "ada@example.com", "userAttributes.name": "Ada"}
	tests := []struct {
		message string
		problem string
	}{
		{"1 validation error detected: Value at 'password' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$", "refused that password: it must not begin or end with a space"},
		{"Invalid attributes given, name is missing", "refused an attribute, not the password"},
		{"Attributes did not conform to the schema: phone_number: Invalid phone number", "refused an attribute, not the password"},
		{"Invalid email address format.", "refused an attribute, not the password"},
		{"Cannot modify an already provided phone_number", "refused an attribute, not the password"}, // which was not given
		{"Something else.", "refused one of the values"},
	}
	inputs := "new_password* new_password_again* userAttributes.email userAttributes.name"
	for _, test := range tests {
		srv := start(t)
		srv.EditUser(username, func(u *cognitotest.User) {
			u.Status, u.RequiredAttributes = cognitotest.ForceChangePassword, []string{"email", "name"}
		})
		srv.FailNext("RespondToAuthChallenge", 1, cognitotest.Refuse("InvalidParameterException", test.message))
		_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), script(t,
			turn{"NEW_PASSWORD_REQUIRED", "", "", inputs, given},
			turn{"NEW_PASSWORD_REQUIRED", "", test.problem, inputs, given},
		))
		if err != nil {
			t.Errorf("%s: %v", test.message, err)
		}
	}
}

// An attribute that has a value already is left out, without asking the person again.
func TestProvidedAttributes(t *testing.T) {
	srv := start(t)
	srv.EditUser(username, func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword })
	params := fmt.Sprintf(`{"ChallengeName":"NEW_PASSWORD_REQUIRED","Session":%q,"ChallengeParameters":{"USER_ID_FOR_SRP":"ada","requiredAttributes":"[\"userAttributes.email\",\"userAttributes.custom:team\"]"}}`, strings.Repeat("s", 20))
	srv.FailNext("InitiateAuth", 1, cognitotest.Answer(200, "application/x-amz-json-1.1", params))
	srv.FailNext("RespondToAuthChallenge", 1, cognitotest.Refuse("InvalidParameterException", "Cannot modify an already provided email"))
	srv.FailNext("RespondToAuthChallenge", 1, cognitotest.Refuse("InvalidParameterException", "Cannot modify an already provided custom:team"))
	srv.FailNext("RespondToAuthChallenge", 1, cognitotest.Refuse("NotAuthorizedException", "A client attempted to write unauthorized attribute"))
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), script(t,
		turn{"NEW_PASSWORD_REQUIRED", "", "", "new_password* new_password_again* userAttributes.email userAttributes.custom:team",
			map[string]string{"new_password": "longer than that", "userAttributes.email": "ada@example.com", "userAttributes.custom:team": "ops"}},
	))
	wantError(t, err, agent.CodeConfiguration, "the app client "+srv.ClientID+" may not set an attribute that the user pool requires")
	var sent []string
	for _, c := range srv.Log() {
		if c.Op == "RespondToAuthChallenge" {
			sent = append(sent, fmt.Sprint(strings.Contains(string(c.Body), "userAttributes.email"), strings.Contains(string(c.Body), "custom:team")))
		}
	}
	if got := strings.Join(sent, ", "); got != "true true, false true, false false" {
		t.Errorf("sent e-mail and team: %s", got)
	}
}

// A federated user has no password, and gets the answer of an account that was never used.
func TestResetOfAFederatedUser(t *testing.T) {
	srv := start(t)
	srv.FailNext("ForgotPassword", 1, cognitotest.Refuse("NotAuthorizedException", "User password cannot be reset in the current state."))
	err := cognito.New(cognito.Options{}).Recover(t.Context(), environment(srv), request(agent.RecoverReset), unasked(t))
	wantError(t, err, agent.CodeDenied, "an account that was never used, or that signs in through another provider", "run: kyc-agentd login prod")
}

// A pool without the triggers of a custom sign-in says so, at a sign-in and in a probe.
func TestCustomWithoutTriggers(t *testing.T) {
	srv := start(t)
	srv.FailNext(cognitotest.SignIn, -1, cognitotest.Refuse("InvalidParameterException", "Custom auth lambda trigger is not configured for the user pool."))
	env := environment(srv)
	env.AuthFlow = agent.FlowCustom
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t))
	wantError(t, err, agent.CodeConfiguration, "has no custom sign-in (Lambda triggers); set auth_flow of environment prod to password, srp or choice")
	probe := cognito.New(cognito.Options{}).Probe(t.Context(), env)
	wantFault(t, probe.SignIn, cognito.ProblemFlow, "has no custom sign-in")
}

// A probe's user does not exist, so what a trigger says of it is no problem of the environment.
func TestProbeAndTriggers(t *testing.T) {
	for _, fault := range []cognitotest.Fault{
		cognitotest.Refuse("NotAuthorizedException", "PreAuthentication failed with error who?"),
		cognitotest.Refuse("UserLambdaValidationException", "PreAuthentication failed with error who?"),
		cognitotest.Refuse("NotAuthorizedException", "Unable to login because of security reasons."),
		cognitotest.Refuse("NotAuthorizedException", "Not today."),
	} {
		srv := start(t)
		srv.FailNext(cognitotest.SignIn, -1, fault)
		if probe := cognito.New(cognito.Options{}).Probe(t.Context(), environment(srv)); probe.SignIn != nil {
			t.Error(probe.SignIn.Err)
		}
	}
}

// A flow that only proves the password is not turned into one that shows it, whatever the
// server answers.
func TestServerAsksForThePasswordItself(t *testing.T) {
	for _, flow := range []agent.AuthFlow{agent.FlowSRP, agent.FlowCustom} {
		for _, answer := range []string{
			`{"ChallengeName":"PASSWORD","Session":"s"}`,
			`{"ChallengeName":"SELECT_CHALLENGE","Session":"s","AvailableChallenges":["PASSWORD"]}`,
		} {
			var got strings.Builder
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(&got, r.Body)
				_, _ = io.WriteString(w, answer)
			}))
			t.Cleanup(srv.Close)
			env := at(srv.URL)
			env.AuthFlow = flow
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t))
			wantError(t, err, agent.CodeConfiguration, "asks for the password itself")
			if password := ada().Password.Reveal(); strings.Contains(got.String(), password) {
				t.Errorf("%s: the password was sent: %s", flow, got.String())
			}
		}
	}
}
