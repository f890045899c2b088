package cognitotest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// choose starts USER_AUTH without a preference.
func choose(t *testing.T, srv *cognitotest.Server) reply {
	t.Helper()
	out := initiate(t, srv, "USER_AUTH", m{})
	if out.result() != "SELECT_CHALLENGE" {
		t.Fatalf("USER_AUTH: %s", out.result())
	}
	return out
}

func TestAvailableChallenges(t *testing.T) {
	tests := []struct {
		name string
		opts []cognitotest.Option
		edit func(*cognitotest.User)
		want string
	}{
		{"e-mail address", nil, func(*cognitotest.User) {}, "PASSWORD PASSWORD_SRP EMAIL_OTP"},
		{"telephone too", nil, func(u *cognitotest.User) { u.Phone = "+15551234567" }, "PASSWORD PASSWORD_SRP EMAIL_OTP SMS_OTP"},
		{"passkey", nil, func(u *cognitotest.User) { u.Passkey, u.Email = true, "" }, "PASSWORD PASSWORD_SRP WEB_AUTHN"},
		{"no password", nil, func(u *cognitotest.User) { u.Password = "" }, "EMAIL_OTP"},
		{"MFA leaves the passwords", nil, func(u *cognitotest.User) { u.Passkey, u.MFA = true, []string{"SMS_MFA"} }, "PASSWORD PASSWORD_SRP"},
		{"pool allows some", opts(cognitotest.FirstFactors("EMAIL_OTP", "PASSWORD")), func(*cognitotest.User) {}, "PASSWORD EMAIL_OTP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t, tt.opts...)
			srv.EditUser(userName, tt.edit)
			out := choose(t, srv)
			equal(t, "available", strings.Join(out.AvailableChallenges, " "), tt.want)
			equal(t, "parameters", len(out.ChallengeParameters), 0)
		})
	}
	equal(t, "of a user that does not exist", strings.Join(initiate(t, start(t), "USER_AUTH", m{"USERNAME": "bob"}).AvailableChallenges, " "),
		"PASSWORD PASSWORD_SRP")
}

func TestSelectChallenge(t *testing.T) {
	bigA := cognitotest.SRPPublicForTest(smallA).Text(16)
	tests := []struct {
		name   string
		answer m
		want   string
	}{
		{"password", m{"ANSWER": "PASSWORD", "PASSWORD": password}, "ok"},
		{"wrong password", m{"ANSWER": "PASSWORD", "PASSWORD": "x"}, bad},
		{"password without its value", m{"ANSWER": "PASSWORD"}, "InvalidParameterException: Missing required parameter PASSWORD"},
		{"SRP", m{"ANSWER": "PASSWORD_SRP", "SRP_A": bigA}, "PASSWORD_VERIFIER"},
		{"SRP without A", m{"ANSWER": "PASSWORD_SRP"}, "InvalidParameterException: Missing required parameter SRP_A"},
		{"SRP with a bad A", m{"ANSWER": "PASSWORD_SRP", "SRP_A": "0"}, "InvalidParameterException: Invalid SRP_A"},
		{"e-mail", m{"ANSWER": "EMAIL_OTP"}, "EMAIL_OTP"},
		{"SMS", m{"ANSWER": "SMS_OTP"}, "SMS_OTP"},
		{"passkey", m{"ANSWER": "WEB_AUTHN"}, "WEB_AUTHN"},
		{"nothing", m{}, "InvalidParameterException: Missing required parameter ANSWER"},
		{"something else", m{"ANSWER": "x"}, "InvalidParameterException: The selected challenge is not available."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t)
			srv.EditUser(userName, func(u *cognitotest.User) { u.Phone, u.Passkey = "+15551234567", true })
			equal(t, "result", answer(t, srv, choose(t, srv), tt.answer).result(), tt.want)
		})
	}
}

func TestPreferredChallenge(t *testing.T) {
	bigA := cognitotest.SRPPublicForTest(smallA).Text(16)
	tests := []struct {
		name string
		in   m
		want string
	}{
		{"password with its value", m{"PREFERRED_CHALLENGE": "PASSWORD", "PASSWORD": password}, "ok"},
		{"wrong password", m{"PREFERRED_CHALLENGE": "PASSWORD", "PASSWORD": "x"}, bad},
		{"password", m{"PREFERRED_CHALLENGE": "PASSWORD"}, "PASSWORD"},
		{"SRP with A", m{"PREFERRED_CHALLENGE": "PASSWORD_SRP", "SRP_A": bigA}, "PASSWORD_VERIFIER"},
		{"SRP", m{"PREFERRED_CHALLENGE": "PASSWORD_SRP"}, "PASSWORD_SRP"},
		{"e-mail", m{"PREFERRED_CHALLENGE": "EMAIL_OTP"}, "EMAIL_OTP"},
		{"not available to the user", m{"PREFERRED_CHALLENGE": "SMS_OTP"}, "SELECT_CHALLENGE"},
		{"unknown", m{"PREFERRED_CHALLENGE": "x"}, "InvalidParameterException: Invalid PREFERRED_CHALLENGE."},
		{"no name", m{"USERNAME": ""}, "InvalidParameterException: Missing required parameter USERNAME"},
		{"unknown user", m{"USERNAME": "bob", "PREFERRED_CHALLENGE": "EMAIL_OTP"}, "SELECT_CHALLENGE"},
		{"unknown user's password", m{"USERNAME": "bob", "PREFERRED_CHALLENGE": "PASSWORD", "PASSWORD": password}, bad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			equal(t, "result", initiate(t, start(t), "USER_AUTH", tt.in).result(), tt.want)
		})
	}
	srv := start(t, cognitotest.HideUnknownUsers(false))
	equal(t, "unknown user, told", initiate(t, srv, "USER_AUTH", m{"USERNAME": "bob"}).Code, "UserNotFoundException")
	srv.Set(cognitotest.Flows("USER_PASSWORD_AUTH"))
	equal(t, "flow off", initiate(t, srv, "USER_AUTH", m{}).result(), "InvalidParameterException: USER_AUTH flow not enabled for this client")
	srv.Set(cognitotest.Flows("USER_AUTH"))
	equal(t, "passwords though their flow is off", initiate(t, srv, "USER_AUTH", m{"PREFERRED_CHALLENGE": "PASSWORD", "PASSWORD": password}).result(), "ok")
}

func TestPasswordChallenge(t *testing.T) {
	srv := start(t)
	ask := func() reply { return initiate(t, srv, "USER_AUTH", m{"PREFERRED_CHALLENGE": "PASSWORD"}) }
	out := ask()
	equal(t, "no password", answer(t, srv, out, m{}).Code, "InvalidParameterException")
	equal(t, "wrong", answer(t, srv, out, m{"PASSWORD": "x"}).result(), bad)
	equal(t, "right, after a wrong one", answer(t, srv, out, m{"PASSWORD": password}).Code, "NotAuthorizedException")
	equal(t, "right", answer(t, srv, ask(), m{"PASSWORD": password}).result(), "ok")
	for range 5 {
		answer(t, srv, ask(), m{"PASSWORD": "x"})
	}
	equal(t, "lockout", answer(t, srv, ask(), m{"PASSWORD": password}).result(), locked)
}

func TestChoiceOfSRP(t *testing.T) {
	srv := start(t)
	for name, out := range map[string]reply{
		"chosen":    answer(t, srv, choose(t, srv), m{"ANSWER": "PASSWORD_SRP", "SRP_A": cognitotest.SRPPublicForTest(smallA).Text(16)}),
		"challenge": answer(t, srv, initiate(t, srv, "USER_AUTH", m{"PREFERRED_CHALLENGE": "PASSWORD_SRP"}), m{"SRP_A": cognitotest.SRPPublicForTest(smallA).Text(16)}),
	} {
		prove := func(out reply) string {
			return answer(t, srv, out, m{"TIMESTAMP": goodTime, "PASSWORD_CLAIM_SECRET_BLOCK": out.ChallengeParameters["SECRET_BLOCK"],
				"PASSWORD_CLAIM_SIGNATURE": cognitotest.SRPAnswerForTest("cognitote", password, smallA, out.ChallengeParameters, goodTime)}).result()
		}
		stolen := out
		stolen.Session = "another"
		equal(t, name+": proof in another session", prove(stolen), bad)
		equal(t, name+": proof", prove(out), "ok")
	}
}

func TestOneTimePasswords(t *testing.T) {
	tests := []struct{ challenge, parameter, destination string }{
		{"EMAIL_OTP", "EMAIL_OTP_CODE", "a***@e***"},
		{"SMS_OTP", "SMS_OTP_CODE", "+*******4567"},
	}
	for _, tt := range tests {
		t.Run(tt.challenge, func(t *testing.T) {
			srv := start(t, cognitotest.Code(""))
			srv.EditUser(userName, func(u *cognitotest.User) { u.Phone = "+15551234567" })
			ask := func() reply { return initiate(t, srv, "USER_AUTH", m{"PREFERRED_CHALLENGE": tt.challenge}) }
			out := ask()
			equal(t, "destination", out.ChallengeParameters["CODE_DELIVERY_DESTINATION"], tt.destination)
			equal(t, "digits", len(srv.Messages()[0].Code), 8)
			equal(t, "wrong", answer(t, srv, out, m{tt.parameter: "x"}).Code, "CodeMismatchException")
			equal(t, "right", answer(t, srv, out, m{tt.parameter: srv.Messages()[0].Code}).result(), "ok")
			out = ask()
			srv.EditUser(userName, func(u *cognitotest.User) { u.Disabled = true })
			equal(t, "disabled", answer(t, srv, out, m{tt.parameter: srv.Messages()[1].Code}).result(), "NotAuthorizedException: User is disabled.")
		})
	}
}

func TestChoiceThenMFA(t *testing.T) {
	srv := start(t)
	srv.EditUser(userName, withMFA("SMS_MFA"))
	out := answer(t, srv, choose(t, srv), m{"ANSWER": "PASSWORD", "PASSWORD": password})
	equal(t, "after the password", out.result(), "SMS_MFA")
	equal(t, "after the code", answer(t, srv, out, m{"SMS_MFA_CODE": "123456"}).result(), "ok")
}

func TestChoiceOnADevice(t *testing.T) {
	srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
	d, _ := confirmed(t, srv)
	out := initiate(t, srv, "USER_AUTH", m{"PREFERRED_CHALLENGE": "EMAIL_OTP", "DEVICE_KEY": d.key})
	out = answer(t, srv, out, m{"EMAIL_OTP_CODE": "123456"})
	equal(t, "after the code", out.result(), "DEVICE_SRP_AUTH")
	equal(t, "after the proof", d.prove(t, srv, d.start(t, srv, out), deviceWord).result(), "ok")
	srv.ForgetDevice(userName, "")
	equal(t, "forgotten", initiate(t, srv, "USER_AUTH", m{"DEVICE_KEY": d.key}).result(), noDevice)
	out = initiate(t, srv, "USER_AUTH", m{"PREFERRED_CHALLENGE": "EMAIL_OTP"})
	equal(t, "forgotten, with the code", answer(t, srv, out, m{"EMAIL_OTP_CODE": "123456", "DEVICE_KEY": d.key}).result(), noDevice)
	equal(t, "the same without it", answer(t, srv, out, m{"EMAIL_OTP_CODE": "123456"}).result(), "ok")
}

func TestPasskey(t *testing.T) {
	srv := start(t)
	srv.EditUser(userName, func(u *cognitotest.User) { u.Passkey = true })
	out := initiate(t, srv, "USER_AUTH", m{"PREFERRED_CHALLENGE": "WEB_AUTHN"})
	equal(t, "asked", out.result(), "WEB_AUTHN")
	equal(t, "options are JSON", json.Valid([]byte(out.ChallengeParameters["CREDENTIAL_REQUEST_OPTIONS"])), true)
	equal(t, "no credential", answer(t, srv, out, m{}).Code, "InvalidParameterException")
	equal(t, "any credential", answer(t, srv, out, m{"CREDENTIAL": "{}"}).result(), bad)
}
