package cognitotest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	wrongCode   = "CodeMismatchException: Invalid verification code provided, please try again."
	expiredCode = "ExpiredCodeException: Invalid code provided, please request a code again."
	limit       = "LimitExceededException: Attempt limit exceeded, please try after some time."
	tooMany     = "TooManyFailedAttemptsException: Attempt limit exceeded, please try after some time."
	nobody      = "UserNotFoundException: Username/client id combination not found."
	next        = "New-Horse-22"
)

// forgot, reset, confirmUp and resend call the recovery operation that they are named after.
func forgot(t *testing.T, srv *cognitotest.Server, name string) reply {
	t.Helper()
	return call(t, srv, "ForgotPassword", m{"ClientId": srv.ClientID, "Username": name})
}

func reset(t *testing.T, srv *cognitotest.Server, name, code, password string) string {
	t.Helper()
	return call(t, srv, "ConfirmForgotPassword",
		m{"ClientId": srv.ClientID, "Username": name, "ConfirmationCode": code, "Password": password}).result()
}

func confirmUp(t *testing.T, srv *cognitotest.Server, name, code string) string {
	t.Helper()
	return call(t, srv, "ConfirmSignUp", m{"ClientId": srv.ClientID, "Username": name, "ConfirmationCode": code}).result()
}

func resend(t *testing.T, srv *cognitotest.Server, name string) reply {
	t.Helper()
	return call(t, srv, "ResendConfirmationCode", m{"ClientId": srv.ClientID, "Username": name})
}

func lastCode(srv *cognitotest.Server) string {
	sent := srv.Messages()
	return sent[len(sent)-1].Code
}

func TestForgotPassword(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	equal(t, "code not asked for", reset(t, srv, userName, "123456", next), expiredCode)
	out := forgot(t, srv, "ada@example.com")
	equal(t, "asked for", out.result(), "ok")
	equal(t, "sent to", out.CodeDeliveryDetails, struct{ AttributeName, DeliveryMedium, Destination string }{"email", "EMAIL", "a***@e***"})
	equal(t, "wrong code", reset(t, srv, userName, "x", next), wrongCode)
	equal(t, "bad password", reset(t, srv, userName, "123456", "short"),
		"InvalidPasswordException: Password did not conform with policy: Password not long enough")
	equal(t, "the same code, a good password", reset(t, srv, userName, "123456", next), "ok")
	equal(t, "the same code again", reset(t, srv, userName, "123456", "Other-Horse-33"), expiredCode)
	equal(t, "the new password", try(t, srv, userName, next), "ok")
	equal(t, "the old one", try(t, srv, userName, password), bad)
	forgot(t, srv, userName)
	clock.Advance(time.Hour)
	equal(t, "after an hour", reset(t, srv, userName, "123456", password), expiredCode)
	forgot(t, srv, userName)
	srv.ExpireCodes()
	equal(t, "expired by hand", reset(t, srv, userName, "123456", password), expiredCode)
}

func TestForgotPasswordRefusals(t *testing.T) {
	const noAddress = "InvalidParameterException: Cannot reset password for the user as there is no registered/verified email or phone_number"
	tests := []struct {
		name string
		edit func(*cognitotest.User)
		want string
	}{
		{"disabled", func(u *cognitotest.User) { u.Disabled = true }, "NotAuthorizedException: User is disabled."},
		{"temporary password", func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword },
			"NotAuthorizedException: User password cannot be reset in the current state."},
		{"unconfirmed", func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }, noAddress},
		{"no address", func(u *cognitotest.User) { u.Email = "" }, noAddress},
		{"telephone", func(u *cognitotest.User) { u.Email, u.Phone = "", "+15551234567" }, "ok"},
		{"to be reset", func(u *cognitotest.User) { u.Status = cognitotest.ResetRequired }, "ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t)
			srv.EditUser(userName, tt.edit)
			equal(t, "ForgotPassword", forgot(t, srv, userName).result(), tt.want)
		})
	}
}

// A reset by an administrator sends a code; ForgotPassword can send another.
func TestResetRequired(t *testing.T) {
	srv := start(t, cognitotest.Code(""))
	srv.EditUser(userName, func(u *cognitotest.User) { u.Status = cognitotest.ResetRequired })
	equal(t, "sign-in", try(t, srv, userName, password), "PasswordResetRequiredException: Password reset required for the user")
	equal(t, "with the administrator's code", reset(t, srv, userName, lastCode(srv), next), "ok")
	equal(t, "sign-in after that", try(t, srv, userName, next), "ok")
}

func TestNewestCodeAlone(t *testing.T) {
	srv := start(t, cognitotest.Code("111111"))
	forgot(t, srv, userName)
	srv.Set(cognitotest.Code("222222"))
	forgot(t, srv, userName)
	equal(t, "the first", reset(t, srv, userName, "111111", next), wrongCode)
	equal(t, "the second", reset(t, srv, userName, "222222", next), "ok")
}

func TestResetLimits(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	equal(t, "first", forgot(t, srv, userName).result(), "ok")
	for range 4 {
		equal(t, "one of five attempts", reset(t, srv, userName, "x", next), wrongCode)
	}
	equal(t, "the right code after them", reset(t, srv, userName, "123456", next), limit)
	equal(t, "another code", forgot(t, srv, userName).result(), limit)
	clock.Advance(time.Hour)
	equal(t, "an hour later", forgot(t, srv, userName).result(), "ok")
	equal(t, "and the code", reset(t, srv, userName, "123456", next), "ok")
	srv.Set(cognitotest.AttemptLimit(1))
	equal(t, "a success forgets attempts", forgot(t, srv, userName).result(), "ok")
	equal(t, "another limit", forgot(t, srv, userName).result(), limit)
	srv.ForgetLockouts()
	equal(t, "forgotten by hand", forgot(t, srv, userName).result(), "ok")
}

func TestConfirmSignUp(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now), cognitotest.Code("111111"))
	srv.AddUser(cognitotest.User{Name: "bob", Password: password, Phone: "+15550009999", Status: cognitotest.Unconfirmed})
	srv.Set(cognitotest.Code("222222"))
	equal(t, "sign-in", try(t, srv, "bob", password), "UserNotConfirmedException: User is not confirmed.")
	equal(t, "wrong", confirmUp(t, srv, "bob", "x"), wrongCode)
	out := resend(t, srv, "bob")
	equal(t, "sent to", out.CodeDeliveryDetails, struct{ AttributeName, DeliveryMedium, Destination string }{"phone_number", "SMS", "+*******9999"})
	equal(t, "the first code", confirmUp(t, srv, "bob", "111111"), wrongCode)
	clock.Advance(24 * time.Hour)
	equal(t, "after a day", confirmUp(t, srv, "bob", lastCode(srv)), expiredCode)
	resend(t, srv, "bob")
	equal(t, "right", confirmUp(t, srv, "bob", lastCode(srv)), "ok")
	equal(t, "again", confirmUp(t, srv, "bob", lastCode(srv)), "NotAuthorizedException: User cannot be confirmed. Current status is CONFIRMED")
	equal(t, "another code", resend(t, srv, "bob").result(), "InvalidParameterException: User is already confirmed.")
	equal(t, "sign-in after that", try(t, srv, "bob", password), "ok")
}

func TestConfirmSignUpLimits(t *testing.T) {
	srv := start(t)
	srv.EditUser(userName, func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed })
	for range 5 {
		equal(t, "one of five", confirmUp(t, srv, userName, "x"), wrongCode)
	}
	equal(t, "the right one after them", confirmUp(t, srv, userName, "123456"), tooMany)
	equal(t, "another code", resend(t, srv, userName).result(), limit)
	srv.ForgetLockouts()
	equal(t, "the right one later", confirmUp(t, srv, userName, "123456"), "ok")
	srv.EditUser(userName, func(u *cognitotest.User) { u.Email, u.Status = "", cognitotest.Unconfirmed })
	equal(t, "nowhere to send to", resend(t, srv, userName).Code, "InvalidParameterException")
}

func TestChangePassword(t *testing.T) {
	srv := start(t, cognitotest.Passwords(cognitotest.StandardPasswords()))
	out := signIn(t, srv)
	change := func(token, from, to string) string {
		return call(t, srv, "ChangePassword", m{"AccessToken": token, "PreviousPassword": from, "ProposedPassword": to}).result()
	}
	equal(t, "not signed in", change("x", password, next), "NotAuthorizedException: Invalid Access Token")
	equal(t, "no new one", change(out.access(), password, ""), "InvalidParameterException: Missing required parameter")
	equal(t, "wrong old one", change(out.access(), "x", next), bad)
	equal(t, "bad new one", change(out.access(), password, "newhorse-22"),
		"InvalidPasswordException: Password did not conform with policy: Password must have uppercase characters")
	equal(t, "good", change(out.access(), password, next), "ok")
	equal(t, "sign-in with it", try(t, srv, userName, next), "ok")
	equal(t, "the sign-in goes on", byTokens(t, srv, out.refresh()).result(), "ok")
	for range 5 {
		equal(t, "wrong old one", change(out.access(), "x", password), bad)
	}
	equal(t, "right after five wrong", change(out.access(), next, password), limit)
	equal(t, "which locks no sign-in", try(t, srv, userName, next), "ok")
}

func TestRecoveryOfNobody(t *testing.T) {
	srv := start(t)
	for _, tt := range []struct{ op, hidden string }{
		{"ForgotPassword", "ok"}, {"ResendConfirmationCode", "ok"},
		{"ConfirmForgotPassword", expiredCode}, {"ConfirmSignUp", expiredCode},
	} {
		in := m{"ClientId": srv.ClientID, "Username": "bob", "ConfirmationCode": "123456", "Password": next}
		out := call(t, srv, tt.op, in)
		equal(t, tt.op, out.result(), tt.hidden)
		equal(t, tt.op+": a place is named", out.CodeDeliveryDetails.Destination != "", tt.hidden == "ok")
		srv.Set(cognitotest.HideUnknownUsers(false))
		equal(t, tt.op+", told", call(t, srv, tt.op, in).result(), nobody)
		srv.Set(cognitotest.HideUnknownUsers(true))
		delete(in, "Username")
		equal(t, tt.op+" without a name", call(t, srv, tt.op, in).Code, "InvalidParameterException")
		equal(t, tt.op+" without a client", call(t, srv, tt.op, m{"ClientId": "x"}).Code, "ResourceNotFoundException")
	}
	equal(t, "no code", reset(t, srv, userName, "", next), "InvalidParameterException: Missing required parameter")
	equal(t, "no code to confirm", confirmUp(t, srv, userName, ""), "InvalidParameterException: Missing required parameter")
	srv.EditUser(userName, func(u *cognitotest.User) { u.Disabled = true })
	equal(t, "disabled", reset(t, srv, userName, "123456", next), "NotAuthorizedException: User is disabled.")
	equal(t, "messages sent", len(srv.Messages()), 0)
}

func TestRecoverySecretHash(t *testing.T) {
	srv := start(t, cognitotest.ClientSecret("sekrit"))
	for _, op := range []string{"ForgotPassword", "ConfirmForgotPassword", "ConfirmSignUp", "ResendConfirmationCode"} {
		in := m{"ClientId": srv.ClientID, "Username": "ada@example.com", "ConfirmationCode": "1", "Password": next}
		equal(t, op+" without", call(t, srv, op, in).result(), "NotAuthorizedException: Unable to verify secret hash for client "+srv.ClientID)
		in["SecretHash"] = "x"
		equal(t, op+" with a wrong one", call(t, srv, op, in).result(), "NotAuthorizedException: SecretHash does not match for the client: "+srv.ClientID)
		in["SecretHash"] = cognitotest.SecretHash("ada@example.com", srv.ClientID, "sekrit")
		if got := call(t, srv, op, in).result(); strings.Contains(got, "ecret") {
			t.Errorf("%s with the right one: %s", op, got)
		}
	}
}
