package cognitotest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// answer responds to the challenge of out with the given responses.
func answer(t *testing.T, srv *cognitotest.Server, out reply, responses m) reply {
	t.Helper()
	if responses["USERNAME"] == nil {
		responses["USERNAME"] = userName
	}
	return call(t, srv, "RespondToAuthChallenge", m{"ClientId": srv.ClientID,
		"ChallengeName": out.ChallengeName, "Session": out.Session, "ChallengeResponses": responses})
}

// challenged starts a sign-in of a user changed by edit and expects a challenge.
func challenged(t *testing.T, srv *cognitotest.Server, want string, edit func(*cognitotest.User)) reply {
	t.Helper()
	srv.EditUser(userName, edit)
	out := call(t, srv, "InitiateAuth", passwordAuth(srv, userName, password))
	if out.result() != want {
		t.Fatalf("sign-in: %s, want %s", out.result(), want)
	}
	return out
}

func withMFA(factors ...string) func(*cognitotest.User) {
	return func(u *cognitotest.User) { u.MFA, u.Phone = factors, "+15551234567" }
}

func TestNewPassword(t *testing.T) {
	srv := start(t)
	out := challenged(t, srv, "NEW_PASSWORD_REQUIRED", func(u *cognitotest.User) {
		u.Status, u.RequiredAttributes = cognitotest.ForceChangePassword, []string{"name"}
	})
	equal(t, "required", out.ChallengeParameters["requiredAttributes"], `["userAttributes.name"]`)
	equal(t, "known", out.ChallengeParameters["userAttributes"], `{"email":"ada@example.com","email_verified":"true"}`)
	equal(t, "without the attribute", answer(t, srv, out, m{"NEW_PASSWORD": "New-Horse-22"}).result(),
		"InvalidParameterException: Invalid attributes given, name is missing")
	equal(t, "too short", answer(t, srv, out, m{"NEW_PASSWORD": "short", "userAttributes.name": "Ada"}).result(),
		"InvalidPasswordException: Password did not conform with policy: Password not long enough")
	equal(t, "an attribute that is there", answer(t, srv, out, m{"NEW_PASSWORD": "New-Horse-22", "userAttributes.name": "Ada", "userAttributes.email": "x@example.com"}).result(),
		"NotAuthorizedException: Cannot modify an already provided email")
	equal(t, "no password", answer(t, srv, out, m{"userAttributes.name": "Ada"}).result(), "InvalidParameterException: Missing required parameter NEW_PASSWORD")
	equal(t, "good, in the same session", answer(t, srv, out, m{"NEW_PASSWORD": "New-Horse-22", "userAttributes.name": "Ada"}).result(), "ok")
	equal(t, "old password", try(t, srv, userName, password), bad)
	tokens := call(t, srv, "InitiateAuth", passwordAuth(srv, userName, "New-Horse-22"))
	equal(t, "new password", tokens.result(), "ok")
	equal(t, "the attribute", claims(t, tokens.AuthenticationResult.IdToken)["name"], any("Ada"))
}

func TestNewPasswordWithAddresses(t *testing.T) {
	srv := start(t)
	srv.AddUser(cognitotest.User{Name: "bob", Password: password, Status: cognitotest.ForceChangePassword, RequiredAttributes: []string{"email", "phone_number"}})
	out := call(t, srv, "InitiateAuth", passwordAuth(srv, "bob", password))
	equal(t, "answered", answer(t, srv, out, m{"USERNAME": "bob", "NEW_PASSWORD": "New-Horse-22",
		"userAttributes.email": "bob@example.com", "userAttributes.phone_number": "+15550001111"}).result(), "ok")
	bob, _ := srv.User("bob@example.com")
	equal(t, "telephone", bob.Phone, "+15550001111")
}

func TestTOTPChallenge(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	user, _ := srv.User(userName)
	code := func(ago time.Duration) m {
		return m{"SOFTWARE_TOKEN_MFA_CODE": cognitotest.TOTP(user.TOTPSecret, clock.Now().Add(-ago))}
	}
	const (
		mismatch = "CodeMismatchException: Invalid code received for user"
		used     = "ExpiredCodeException: Your software token has already been used once."
	)
	out := challenged(t, srv, "SOFTWARE_TOKEN_MFA", withMFA("SOFTWARE_TOKEN_MFA"))
	equal(t, "two steps old", answer(t, srv, out, code(time.Minute)).result(), mismatch)
	equal(t, "not a code", answer(t, srv, out, m{"SOFTWARE_TOKEN_MFA_CODE": "x"}).result(), mismatch)
	equal(t, "one step old, in the same session", answer(t, srv, out, code(30*time.Second)).result(), "ok")
	out = challenged(t, srv, "SOFTWARE_TOKEN_MFA", withMFA("SOFTWARE_TOKEN_MFA"))
	equal(t, "that one again", answer(t, srv, out, code(30*time.Second)).result(), used)
	equal(t, "this step's", answer(t, srv, out, code(0)).result(), "ok")
	equal(t, "sign-ins", srv.SignIns(), 2)
}

// The secret and the codes of RFC 6238, appendix B, cut to six digits.
func TestTOTPVectors(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471",
		1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		equal(t, time.Unix(at, 0).UTC().String(), cognitotest.TOTP(secret, time.Unix(at, 0)), want)
	}
}

func TestCodeChallenges(t *testing.T) {
	tests := []struct{ challenge, parameter, destination string }{
		{"SMS_MFA", "SMS_MFA_CODE", "+*******4567"},
		{"EMAIL_OTP", "EMAIL_OTP_CODE", "a***@e***"},
	}
	for _, tt := range tests {
		t.Run(tt.challenge, func(t *testing.T) {
			srv := start(t, cognitotest.Code("555000"))
			out := challenged(t, srv, tt.challenge, withMFA(tt.challenge))
			equal(t, "destination", out.ChallengeParameters["CODE_DELIVERY_DESTINATION"], tt.destination)
			equal(t, "no code", answer(t, srv, out, m{}).result(), "InvalidParameterException: Missing required parameter "+tt.parameter)
			equal(t, "wrong code", answer(t, srv, out, m{tt.parameter: "123456"}).result(),
				"CodeMismatchException: Invalid code or auth state for the user.")
			equal(t, "right code", answer(t, srv, out, m{tt.parameter: "555000"}).result(), "ok")
		})
	}
}

func TestSelectMFAType(t *testing.T) {
	srv := start(t)
	out := challenged(t, srv, "SELECT_MFA_TYPE", withMFA("SMS_MFA", "EMAIL_OTP"))
	equal(t, "choice", out.ChallengeParameters["MFAS_CAN_CHOOSE"], `["SMS_MFA","EMAIL_OTP"]`)
	equal(t, "nothing", answer(t, srv, out, m{}).Code, "InvalidParameterException")
	equal(t, "none of them", answer(t, srv, out, m{"ANSWER": "SOFTWARE_TOKEN_MFA"}).Code, "InvalidParameterException")
	next := answer(t, srv, out, m{"ANSWER": "EMAIL_MFA"})
	equal(t, "chosen", next.result(), "EMAIL_OTP")
	equal(t, "answered", answer(t, srv, next, m{"EMAIL_OTP_CODE": "123456"}).result(), "ok")
}

func TestNewPasswordThenMFA(t *testing.T) {
	srv := start(t)
	out := challenged(t, srv, "NEW_PASSWORD_REQUIRED", func(u *cognitotest.User) {
		u.Status, u.MFA = cognitotest.ForceChangePassword, []string{"SMS_MFA"}
	})
	next := answer(t, srv, out, m{"NEW_PASSWORD": "New-Horse-22"})
	equal(t, "after the password", next.result(), "SMS_MFA")
	equal(t, "after the code", answer(t, srv, next, m{"SMS_MFA_CODE": "123456"}).result(), "ok")
}

func TestMFASetup(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	out := challenged(t, srv, "MFA_SETUP", withMFA("MFA_SETUP"))
	equal(t, "before the setup", answer(t, srv, out, m{}).Code, "InvalidParameterException")
	secret := call(t, srv, "AssociateSoftwareToken", m{"Session": out.Session})
	verify := func(code string) reply {
		return call(t, srv, "VerifySoftwareToken", m{"Session": secret.Session, "UserCode": code, "FriendlyDeviceName": "phone"})
	}
	equal(t, "no session", call(t, srv, "AssociateSoftwareToken", m{}).Code, "InvalidParameterException")
	equal(t, "an access token in its place", call(t, srv, "AssociateSoftwareToken", m{"AccessToken": "x"}).Code, "InvalidParameterException")
	equal(t, "made-up session", call(t, srv, "VerifySoftwareToken", m{"Session": "x"}).result(),
		"NotAuthorizedException: Invalid session for the user.")
	equal(t, "wrong code", verify("x").result(), "EnableSoftwareTokenMFAException: Code mismatch")
	verified := verify(cognitotest.TOTP(secret.SecretCode, clock.Now()))
	out.Session = verified.Session
	equal(t, "after the setup", answer(t, srv, out, m{}).result(), "ok")
	user, _ := srv.User(userName)
	equal(t, "secret kept", user.TOTPSecret, secret.SecretCode)
	out = challenged(t, srv, "SOFTWARE_TOKEN_MFA", func(*cognitotest.User) {})
	equal(t, "the token's name", out.ChallengeParameters["FRIENDLY_DEVICE_NAME"], "phone")
	equal(t, "no code", answer(t, srv, out, m{}).result(), "InvalidParameterException: Missing required parameter SOFTWARE_TOKEN_MFA_CODE")
}

func TestMFASetupEndsWithTheThirdWrongCode(t *testing.T) {
	srv := start(t)
	out := challenged(t, srv, "MFA_SETUP", withMFA("MFA_SETUP"))
	secret := call(t, srv, "AssociateSoftwareToken", m{"Session": out.Session})
	verify := func(code string) string {
		return call(t, srv, "VerifySoftwareToken", m{"Session": secret.Session, "UserCode": code}).result()
	}
	for range 3 {
		equal(t, "wrong", verify("x"), "EnableSoftwareTokenMFAException: Code mismatch")
	}
	equal(t, "right after that", verify(cognitotest.TOTP(secret.SecretCode, time.Now())), "NotAuthorizedException: Invalid session for the user.")
}

// Three wrong codes end a session. A used code counts as wrong.
func TestWrongCodes(t *testing.T) {
	const (
		mismatch = "CodeMismatchException: Invalid code or auth state for the user."
		over     = "NotAuthorizedException: Invalid session for the user."
	)
	clock := newClock()
	tests := []struct {
		challenge, parameter string
		wrong                string
	}{
		{"SMS_MFA", "SMS_MFA_CODE", mismatch},
		{"EMAIL_OTP", "EMAIL_OTP_CODE", mismatch},
		{"SOFTWARE_TOKEN_MFA", "SOFTWARE_TOKEN_MFA_CODE", "CodeMismatchException: Invalid code received for user"},
	}
	for _, tt := range tests {
		t.Run(tt.challenge, func(t *testing.T) {
			srv := start(t, cognitotest.Now(clock.Now))
			user, _ := srv.User(userName)
			right := m{tt.parameter: "123456"}
			if tt.challenge == "SOFTWARE_TOKEN_MFA" {
				right = m{tt.parameter: cognitotest.TOTP(user.TOTPSecret, clock.Now())}
			}
			out := challenged(t, srv, tt.challenge, withMFA(tt.challenge))
			for range 2 {
				equal(t, "wrong", answer(t, srv, out, m{tt.parameter: "x"}).result(), tt.wrong)
			}
			equal(t, "right after two wrong", answer(t, srv, out, right).result(), "ok")
			out = challenged(t, srv, tt.challenge, withMFA(tt.challenge))
			for range 3 {
				equal(t, "wrong", answer(t, srv, out, m{tt.parameter: "x"}).result(), tt.wrong)
			}
			equal(t, "right after three wrong", answer(t, srv, out, right).result(), over)
		})
	}
}

// Each challenge accepts only the code that was sent for it.
func TestEachMessageHasItsCode(t *testing.T) {
	srv := start(t, cognitotest.Code("111111"))
	first := challenged(t, srv, "SMS_MFA", withMFA("SMS_MFA"))
	srv.Set(cognitotest.Code("222222"))
	second := challenged(t, srv, "SMS_MFA", withMFA("SMS_MFA"))
	sent := srv.Messages()
	equal(t, "messages", len(sent), 2)
	sent[0].Time = time.Time{}
	equal(t, "the first", sent[0], cognitotest.Message{
		User: userName, Purpose: "SMS_MFA", Medium: "SMS", Destination: "+15551234567", Code: "111111"})
	equal(t, "another session's code", answer(t, srv, second, m{"SMS_MFA_CODE": "111111"}).Code, "CodeMismatchException")
	equal(t, "the first's own", answer(t, srv, first, m{"SMS_MFA_CODE": "111111"}).result(), "ok")
	equal(t, "the second's own", answer(t, srv, second, m{"SMS_MFA_CODE": "222222"}).result(), "ok")
	srv.Set(cognitotest.Code(""))
	challenged(t, srv, "SMS_MFA", withMFA("SMS_MFA"))
	if code := srv.Messages()[2].Code; len(code) != 6 || strings.Trim(code, "0123456789") != "" {
		t.Errorf("random code %q, want six digits", code)
	}
}

func TestThreeKindsOfMFA(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	user, _ := srv.User(userName)
	all := withMFA("SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP")
	for choice, code := range map[string]m{
		"SMS_MFA":            {"SMS_MFA_CODE": "123456"},
		"EMAIL_OTP":          {"EMAIL_OTP_CODE": "123456"},
		"SOFTWARE_TOKEN_MFA": {"SOFTWARE_TOKEN_MFA_CODE": cognitotest.TOTP(user.TOTPSecret, clock.Now())},
	} {
		out := challenged(t, srv, "SELECT_MFA_TYPE", all)
		equal(t, "choice", out.ChallengeParameters["MFAS_CAN_CHOOSE"], `["SMS_MFA","SOFTWARE_TOKEN_MFA","EMAIL_OTP"]`)
		next := answer(t, srv, out, m{"ANSWER": choice})
		equal(t, "chosen", next.result(), choice)
		equal(t, "answered", answer(t, srv, next, code).result(), "ok")
		equal(t, "the choice again", answer(t, srv, out, m{"ANSWER": choice}).result(),
			"NotAuthorizedException: Invalid session for the user, session can only be used once.")
	}
}

func TestSessions(t *testing.T) {
	const (
		wrong = "NotAuthorizedException: Invalid session for the user."
		once  = "NotAuthorizedException: Invalid session for the user, session can only be used once."
		old   = "NotAuthorizedException: Invalid session for the user, session is expired."
	)
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	srv.AddClient("another")
	srv.AddUser(cognitotest.User{Name: "bob", Password: password})
	respond := func(client, challenge, session, name string) string {
		return call(t, srv, "RespondToAuthChallenge", m{"ClientId": client, "ChallengeName": challenge, "Session": session,
			"ChallengeResponses": m{"USERNAME": name, "SMS_MFA_CODE": "123456", "EMAIL_OTP_CODE": "123456"}}).result()
	}
	session := challenged(t, srv, "SMS_MFA", withMFA("SMS_MFA")).Session
	if n := len(session); n < 20 || n > 2048 {
		t.Errorf("session has %d characters, Cognito's have 20 to 2048", n)
	}
	equal(t, "no session", respond(srv.ClientID, "SMS_MFA", "", userName), "InvalidParameterException: Missing required parameter Session")
	equal(t, "no user", respond(srv.ClientID, "SMS_MFA", session, ""), "InvalidParameterException: Missing required parameter USERNAME")
	equal(t, "made up", respond(srv.ClientID, "SMS_MFA", "made-up-by-somebody-else", userName), wrong)
	equal(t, "another client", respond("another", "SMS_MFA", session, userName), wrong)
	equal(t, "no client", respond("nobody", "SMS_MFA", session, userName), "ResourceNotFoundException: User pool client nobody does not exist.")
	equal(t, "another user", respond(srv.ClientID, "SMS_MFA", session, "bob"), wrong)
	equal(t, "another challenge", respond(srv.ClientID, "EMAIL_OTP", session, userName), wrong)
	clock.Advance(3*time.Minute - 1)
	equal(t, "just in time", respond(srv.ClientID, "SMS_MFA", session, userName), "ok")
	equal(t, "again", respond(srv.ClientID, "SMS_MFA", session, userName), once)
	session = challenged(t, srv, "SMS_MFA", withMFA("SMS_MFA")).Session
	clock.Advance(3 * time.Minute)
	equal(t, "late", respond(srv.ClientID, "SMS_MFA", session, userName), old)
	equal(t, "no MFA_SETUP session", call(t, srv, "AssociateSoftwareToken", m{"Session": session}).result(), wrong)
	srv.Set(cognitotest.SessionLifetime(15 * time.Minute))
	session = challenged(t, srv, "SMS_MFA", withMFA("SMS_MFA")).Session
	clock.Advance(14 * time.Minute)
	equal(t, "late, but longer-lived", respond(srv.ClientID, "SMS_MFA", session, userName), "ok")
	session = challenged(t, srv, "SMS_MFA", withMFA("SMS_MFA")).Session
	srv.DeleteUser(userName)
	equal(t, "user deleted meanwhile", respond(srv.ClientID, "SMS_MFA", session, userName), wrong)
}
