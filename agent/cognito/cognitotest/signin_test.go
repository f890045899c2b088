package cognitotest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	bad    = "NotAuthorizedException: Incorrect username or password."
	locked = "NotAuthorizedException: Password attempts exceeded"
)

func TestPasswordSignIn(t *testing.T) {
	edit := func(f func(*cognitotest.User)) func(*cognitotest.Server) {
		return func(s *cognitotest.Server) { s.EditUser(userName, f) }
	}
	set := func(s ...cognitotest.Setting) func(*cognitotest.Server) {
		return func(srv *cognitotest.Server) { srv.Set(s...) }
	}
	tests := []struct {
		test, name, password string
		setup                func(*cognitotest.Server)
		want                 string
	}{
		{"right", userName, password, nil, "ok"},
		{"by e-mail address", "Ada@example.com", password, nil, "ok"},
		{"wrong", userName, "x", nil, bad},
		{"unknown", "bob", password, nil, bad},
		{"unknown, told", "bob", password, set(cognitotest.HideUnknownUsers(false)), "UserNotFoundException: User does not exist."},
		{"no name", "", password, nil, "InvalidParameterException: Missing required parameter USERNAME"},
		{"no password", userName, "", nil, "InvalidParameterException: Missing required parameter PASSWORD"},
		{"disabled", userName, password, edit(func(u *cognitotest.User) { u.Disabled = true }), "NotAuthorizedException: User is disabled."},
		{"disabled, wrong", userName, "x", edit(func(u *cognitotest.User) { u.Disabled = true }), bad},
		{"unconfirmed", userName, password, edit(func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }),
			"UserNotConfirmedException: User is not confirmed."},
		{"reset", userName, password, edit(func(u *cognitotest.User) { u.Status = cognitotest.ResetRequired }),
			"PasswordResetRequiredException: Password reset required for the user"},
		{"new password", userName, password, edit(func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword }), "NEW_PASSWORD_REQUIRED"},
		{"flow off", userName, password, set(cognitotest.Flows("USER_SRP_AUTH")),
			"InvalidParameterException: USER_PASSWORD_AUTH flow not enabled for this client"},
		{"secret asked for", userName, password, set(cognitotest.ClientSecret("s")),
			"NotAuthorizedException: Client 4cognitotest0client0number1 is configured with secret but SECRET_HASH was not received"},
		{"deleted", userName, password, func(s *cognitotest.Server) { s.DeleteUser(userName) }, bad},
	}
	for _, tt := range tests {
		t.Run(tt.test, func(t *testing.T) {
			srv := start(t)
			if tt.setup != nil {
				tt.setup(srv)
			}
			equal(t, "result", try(t, srv, tt.name, tt.password), tt.want)
		})
	}
}

func TestInitiateAuthRefusals(t *testing.T) {
	srv := start(t)
	tests := []struct {
		in   any
		want string
	}{
		{m{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": "nobody"}, "ResourceNotFoundException: User pool client nobody does not exist."},
		{m{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": ""}, "InvalidParameterException: 1 validation error detected: Value at 'clientId' failed to satisfy constraint: Member must not be null"},
		{m{"AuthFlow": "ADMIN_NO_SRP_AUTH", "ClientId": srv.ClientID}, "InvalidParameterException: Initiate Auth method not supported."},
		{m{"AuthFlow": "USER_AUTH", "ClientId": srv.ClientID}, "InvalidParameterException: Missing required parameter USERNAME"},
		{m{"AuthFlow": "CUSTOM_AUTH", "ClientId": srv.ClientID}, "InvalidParameterException: Missing required parameter USERNAME"},
		{m{"AuthFlow": "x", "ClientId": srv.ClientID}, "InvalidParameterException: 1 validation error detected: Value at 'authFlow' failed to satisfy constraint: Member must satisfy enum value set"},
		{m{"AuthFlow": "REFRESH_TOKEN", "ClientId": srv.ClientID}, "InvalidParameterException: Missing required parameter REFRESH_TOKEN"},
		{m{"AuthFlow": 1}, "SerializationException: "},
	}
	for _, tt := range tests {
		out := call(t, srv, "InitiateAuth", tt.in)
		equal(t, fmt.Sprint(tt.in), out.result(), tt.want)
		equal(t, "status", out.Status, 400)
	}
	equal(t, "unknown operation", call(t, srv, "DeleteEverything", m{}).result(), "UnknownOperationException: ")
}

func TestSecretHash(t *testing.T) {
	// Computed with: printf 'ada4cognitotest0client0number1' | openssl dgst -sha256 -hmac sekrit -binary | base64
	const hash = "NKg2Wq2Ozhqs/rJxE9aG7FCKXNOoaP07z7gbFQPWk6E="
	srv := start(t, cognitotest.ClientSecret("sekrit"))
	in := passwordAuth(srv, userName, password)
	p := in["AuthParameters"].(m)
	p["SECRET_HASH"] = "x"
	equal(t, "wrong hash", call(t, srv, "InitiateAuth", in).result(),
		"NotAuthorizedException: SecretHash does not match for the client: "+srv.ClientID)
	p["SECRET_HASH"] = hash
	out := call(t, srv, "InitiateAuth", in)
	equal(t, "right hash", out.result(), "ok")
	equal(t, "refresh without the secret", byTokens(t, srv, out.refresh()).Code, "NotAuthorizedException")
	equal(t, "refresh with it", call(t, srv, "GetTokensFromRefreshToken",
		m{"ClientId": srv.ClientID, "RefreshToken": out.refresh(), "ClientSecret": "sekrit"}).result(), "ok")
}

func TestLockout(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	for range 5 {
		equal(t, "one of five bad passwords", try(t, srv, userName, "x"), bad)
	}
	for n := range 12 {
		lock := min(time.Second<<n, 15*time.Minute)
		equal(t, "at once", try(t, srv, userName, password), locked)
		clock.Advance(lock - 1)
		equal(t, fmt.Sprintf("just before %v", lock), try(t, srv, userName, "x"), locked)
		if lock == 15*time.Minute {
			break // by then 15 quiet minutes have passed as well
		}
		clock.Advance(1)
		equal(t, fmt.Sprintf("after %v", lock), try(t, srv, userName, "x"), bad)
	}
	clock.Advance(1)
	for range 5 {
		equal(t, "after 15 quiet minutes", try(t, srv, userName, "x"), bad)
	}
	clock.Advance(time.Second)
	equal(t, "a good password", try(t, srv, userName, password), "ok")
	for range 5 {
		equal(t, "after a good password", try(t, srv, userName, "x"), bad)
	}
	srv.ForgetLockouts()
	equal(t, "lockout forgotten", try(t, srv, userName, password), "ok")
}
