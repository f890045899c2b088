package cognitotest_test

import (
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// The user of these tests signs in with an e-mail address at a client with a secret. The real name is
// a UUID.
const (
	alias    = "grace@example.com"
	realName = "7c1b0a4e-52d1-4f0c-9a3e-0d8f5b1f6a11"
	secret   = "sekrit"
)

func aliased(t *testing.T, opts ...cognitotest.Option) *cognitotest.Server {
	t.Helper()
	srv := start(t, append(opts, cognitotest.ClientSecret(secret))...)
	srv.AddUser(cognitotest.User{Name: realName, Sub: realName, Email: alias, Phone: "+15551234567", Password: password})
	return srv
}

func hash(srv *cognitotest.Server, name string) string {
	return cognitotest.SecretHash(name, srv.ClientID, secret)
}

const wrongHash = "NotAuthorizedException: SecretHash does not match for the client: 4cognitotest0client0number1"

// After a challenge with the user's name, the hash must be over that name, whatever the USERNAME of
// the answer; before, over the name that was sent.
func TestSecretHashInAnswers(t *testing.T) {
	bigA := cognitotest.SRPPublicForTest(smallA).Text(16)
	mfa := func(u *cognitotest.User) { u.MFA = []string{"SMS_MFA"} }
	none := func(*cognitotest.User) {}
	tests := []struct {
		name   string
		edit   func(*cognitotest.User)
		flow   string
		in     m
		answer m
		told   string // the parameter that has the real name
		want   string
	}{
		{"MFA", mfa, "USER_PASSWORD_AUTH", m{"PASSWORD": password}, m{"SMS_MFA_CODE": "123456"}, "USER_ID_FOR_SRP", "ok"},
		{"new password", func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword }, "USER_PASSWORD_AUTH",
			m{"PASSWORD": password}, m{"NEW_PASSWORD": next}, "USER_ID_FOR_SRP", "ok"},
		{"custom", func(u *cognitotest.User) { u.Custom = []cognitotest.Question{{Answer: "a"}} }, "CUSTOM_AUTH", m{}, m{"ANSWER": "a"}, "USERNAME", "ok"},
		{"choice", none, "USER_AUTH", m{}, m{"ANSWER": "PASSWORD", "PASSWORD": password}, "", "ok"},
		{"choice of SRP", none, "USER_AUTH", m{}, m{"ANSWER": "PASSWORD_SRP", "SRP_A": bigA}, "", "PASSWORD_VERIFIER"},
		{"password", none, "USER_AUTH", m{"PREFERRED_CHALLENGE": "PASSWORD"}, m{"PASSWORD": password}, "", "ok"},
		{"e-mail", none, "USER_AUTH", m{"PREFERRED_CHALLENGE": "EMAIL_OTP"}, m{"EMAIL_OTP_CODE": "123456"}, "", "ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := aliased(t)
			srv.EditUser(realName, tt.edit)
			tt.in["USERNAME"], tt.in["SECRET_HASH"] = alias, hash(srv, realName)
			equal(t, "start with the real name's hash", initiate(t, srv, tt.flow, tt.in).result(), wrongHash)
			tt.in["SECRET_HASH"] = hash(srv, alias)
			out := initiate(t, srv, tt.flow, tt.in)
			right, wrong := alias, realName
			if tt.told != "" {
				equal(t, tt.told, out.ChallengeParameters[tt.told], realName)
				right, wrong = realName, alias
			}
			tt.answer["USERNAME"] = alias
			equal(t, "no hash", answer(t, srv, out, tt.answer).Code, "NotAuthorizedException")
			tt.answer["SECRET_HASH"] = hash(srv, wrong)
			equal(t, "hash over "+wrong, answer(t, srv, out, tt.answer).result(), wrongHash)
			tt.answer["SECRET_HASH"] = hash(srv, right)
			equal(t, "hash over "+right, answer(t, srv, out, tt.answer).result(), tt.want)
		})
	}
}

func TestSecretHashOfAProof(t *testing.T) {
	srv := aliased(t)
	out := initiate(t, srv, "USER_SRP_AUTH", m{"USERNAME": alias, "SRP_A": cognitotest.SRPPublicForTest(smallA).Text(16), "SECRET_HASH": hash(srv, alias)})
	p := out.ChallengeParameters
	equal(t, "real name", p["USER_ID_FOR_SRP"]+" "+p["USERNAME"], realName+" "+realName)
	prove := func(name string) string {
		return answer(t, srv, out, m{"USERNAME": realName, "SECRET_HASH": hash(srv, name), "TIMESTAMP": goodTime,
			"PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"],
			"PASSWORD_CLAIM_SIGNATURE":    cognitotest.SRPAnswerForTest("cognitote", password, smallA, p, goodTime)}).result()
	}
	equal(t, "hash over the address", prove(alias), wrongHash)
	equal(t, "hash over the real name", prove(realName), "ok")
}

func TestSecretOfARefresh(t *testing.T) {
	srv := aliased(t)
	out := initiate(t, srv, "USER_PASSWORD_AUTH", m{"USERNAME": alias, "PASSWORD": password, "SECRET_HASH": hash(srv, alias)})
	equal(t, "sign-in", out.result(), "ok")
	equal(t, "cognito:username", claims(t, out.AuthenticationResult.IdToken)["cognito:username"], any(realName))
	refresh := func(hash string) string {
		return call(t, srv, "InitiateAuth", m{"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": srv.ClientID,
			"AuthParameters": m{"REFRESH_TOKEN": out.refresh(), "SECRET_HASH": hash}}).result()
	}
	equal(t, "hash over the address", refresh(hash(srv, alias)), wrongHash)
	equal(t, "hash over the real name", refresh(hash(srv, realName)), "ok")
	for _, op := range []string{"GetTokensFromRefreshToken", "RevokeToken"} {
		in := m{"ClientId": srv.ClientID, "RefreshToken": out.refresh(), "Token": out.refresh()}
		for _, bad := range []string{"", "x", hash(srv, realName)} {
			in["ClientSecret"] = bad
			equal(t, op+" with "+bad, call(t, srv, op, in).result(), "NotAuthorizedException: Unable to verify secret for client "+srv.ClientID)
		}
		in["ClientSecret"] = secret
		equal(t, op+" with the secret", call(t, srv, op, in).result(), "ok")
	}
	equal(t, "revoked", call(t, srv, "GetTokensFromRefreshToken",
		m{"ClientId": srv.ClientID, "RefreshToken": out.refresh(), "ClientSecret": secret}).result(), revoked)
}

// Setting up a software token needs no hash, but the answer after it does.
func TestSecretHashOfASetUp(t *testing.T) {
	clock := newClock()
	srv := aliased(t, cognitotest.Now(clock.Now))
	srv.EditUser(realName, func(u *cognitotest.User) { u.MFA = []string{"MFA_SETUP"} })
	out := initiate(t, srv, "USER_PASSWORD_AUTH", m{"USERNAME": alias, "PASSWORD": password, "SECRET_HASH": hash(srv, alias)})
	token := call(t, srv, "AssociateSoftwareToken", m{"Session": out.Session})
	out.Session = call(t, srv, "VerifySoftwareToken", m{"Session": token.Session, "UserCode": cognitotest.TOTP(token.SecretCode, clock.Now())}).Session
	equal(t, "hash over the address", answer(t, srv, out, m{"USERNAME": alias, "SECRET_HASH": hash(srv, alias)}).result(), wrongHash)
	equal(t, "hash over the real name", answer(t, srv, out, m{"USERNAME": realName, "SECRET_HASH": hash(srv, realName)}).result(), "ok")
}
