package cognitotest_test

import (
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// asked starts a pool whose user has to answer two questions.
func asked(t *testing.T, opts ...cognitotest.Option) *cognitotest.Server {
	t.Helper()
	srv := start(t, opts...)
	srv.EditUser(userName, func(u *cognitotest.User) {
		u.Custom = []cognitotest.Question{
			{Parameters: map[string]string{"question": "first pet"}, Answer: "rex"},
			{Parameters: map[string]string{"question": "first car"}, Answer: "mini"},
		}
	})
	return srv
}

func TestCustomChallenge(t *testing.T) {
	srv := asked(t)
	out := initiate(t, srv, "CUSTOM_AUTH", m{"USERNAME": "ada@example.com"})
	equal(t, "first round", out.result(), "CUSTOM_CHALLENGE")
	equal(t, "question", out.ChallengeParameters["question"], "first pet")
	equal(t, "real name", out.ChallengeParameters["USERNAME"], userName)
	equal(t, "no answer", answer(t, srv, out, m{}).Code, "InvalidParameterException")
	out = answer(t, srv, out, m{"ANSWER": "rex"})
	equal(t, "second question", out.ChallengeParameters["question"], "first car")
	equal(t, "answered", answer(t, srv, out, m{"ANSWER": "mini"}).result(), "ok")
}

func TestCustomChallengeWrongAnswers(t *testing.T) {
	srv := asked(t)
	out := initiate(t, srv, "CUSTOM_AUTH", m{})
	old := out
	for range 2 {
		out = answer(t, srv, out, m{"ANSWER": "x"})
		equal(t, "wrong: the question comes again", out.ChallengeParameters["question"], "first pet")
	}
	equal(t, "in the old session", answer(t, srv, old, m{"ANSWER": "rex"}).result(),
		"NotAuthorizedException: Invalid session for the user, session can only be used once.")
	out = answer(t, srv, out, m{"ANSWER": "rex"})
	equal(t, "right after two wrong", out.ChallengeParameters["question"], "first car")
	for range 2 {
		out = answer(t, srv, out, m{"ANSWER": "x"})
	}
	equal(t, "third wrong", answer(t, srv, out, m{"ANSWER": "x"}).result(), bad)
	equal(t, "after that", answer(t, srv, out, m{"ANSWER": "mini"}).Code, "NotAuthorizedException")
}

func TestCustomAuthStarts(t *testing.T) {
	bigA := cognitotest.SRPPublicForTest(smallA).Text(16)
	tests := []struct {
		name string
		edit func(*cognitotest.User)
		in   m
		want string
	}{
		{"question", func(*cognitotest.User) {}, m{}, "CUSTOM_CHALLENGE"},
		{"MFA is not asked", withMFA("SMS_MFA"), m{}, "CUSTOM_CHALLENGE"},
		{"password first", func(*cognitotest.User) {}, m{"CHALLENGE_NAME": "SRP_A", "SRP_A": bigA}, "PASSWORD_VERIFIER"},
		{"password first, without A", func(*cognitotest.User) {}, m{"CHALLENGE_NAME": "SRP_A"}, "InvalidParameterException: Invalid SRP_A"},
		{"no questions", func(u *cognitotest.User) { u.Custom = nil }, m{},
			"InvalidParameterException: Custom auth lambda trigger is not configured for the user pool."},
		{"disabled", func(u *cognitotest.User) { u.Disabled = true }, m{}, "NotAuthorizedException: User is disabled."},
		{"unknown", func(*cognitotest.User) {}, m{"USERNAME": "bob"}, bad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := asked(t)
			srv.EditUser(userName, tt.edit)
			equal(t, "result", initiate(t, srv, "CUSTOM_AUTH", tt.in).result(), tt.want)
		})
	}
	srv := asked(t, cognitotest.Flows("USER_SRP_AUTH"))
	equal(t, "flow off", initiate(t, srv, "CUSTOM_AUTH", m{}).result(), "InvalidParameterException: CUSTOM_AUTH flow not enabled for this client")
}

func TestCustomAuthAfterThePassword(t *testing.T) {
	srv := asked(t)
	out := initiate(t, srv, "CUSTOM_AUTH", m{"CHALLENGE_NAME": "SRP_A", "SRP_A": cognitotest.SRPPublicForTest(smallA).Text(16)})
	prove := func(word string) reply {
		return answer(t, srv, out, m{"TIMESTAMP": goodTime, "PASSWORD_CLAIM_SECRET_BLOCK": out.ChallengeParameters["SECRET_BLOCK"],
			"PASSWORD_CLAIM_SIGNATURE": cognitotest.SRPAnswerForTest("cognitote", word, smallA, out.ChallengeParameters, goodTime)})
	}
	out = prove(password)
	equal(t, "after the proof", out.ChallengeParameters["question"], "first pet")
	srv.EditUser(userName, func(u *cognitotest.User) { u.Custom = nil })
	equal(t, "questions gone meanwhile", answer(t, srv, out, m{"ANSWER": "rex"}).result(), bad)
}

func TestCustomAuthOnADevice(t *testing.T) {
	srv := asked(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
	d, _ := confirmed(t, srv)
	out := initiate(t, srv, "CUSTOM_AUTH", m{"DEVICE_KEY": d.key})
	out = answer(t, srv, out, m{"ANSWER": "rex"})
	out = answer(t, srv, out, m{"ANSWER": "mini", "DEVICE_KEY": d.key})
	equal(t, "after the answers", out.result(), "DEVICE_SRP_AUTH")
	equal(t, "after the proof", d.prove(t, srv, d.start(t, srv, out), deviceWord).result(), "ok")
	srv.ForgetDevice(userName, "")
	equal(t, "forgotten", initiate(t, srv, "CUSTOM_AUTH", m{"DEVICE_KEY": d.key}).result(), noDevice)
}
