package cognitotest_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// These tests hold the server to clients of other people: what they sign in with
// and what they verify is not our reading of Cognito but theirs.

// node runs a script of testdata with in on its stdin and reads its answer into out.
func node(t *testing.T, script string, in, out any) {
	t.Helper()
	dir, program := testpeer.Npm(t)
	request, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, filepath.Join("testdata", script), dir)
	cmd.Stdin = bytes.NewReader(request)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, stderr.String())
	}
	if err := json.Unmarshal(answer, out); err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, answer)
	}
}

// listen makes a pool with one user on a real socket.
func listen(t *testing.T, opts ...cognitotest.Option) *cognitotest.Server {
	t.Helper()
	srv := cognitotest.New(opts...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: userName, Password: password, Email: "ada@example.com"})
	return srv
}

type session struct {
	ID, Access m
	Refresh    string
	Valid      bool
}

func TestAmazonCognitoIdentityJS(t *testing.T) {
	testpeer.Npm(t)
	const newPassword = "Pä$$w0rd-new"
	edit := func(f func(*cognitotest.User)) func(*cognitotest.Server) {
		return func(s *cognitotest.Server) { s.EditUser(userName, f) }
	}
	mfa := func(factors ...string) func(*cognitotest.Server) {
		return edit(func(u *cognitotest.User) { u.MFA = factors })
	}
	tests := []struct {
		name     string
		password string
		setup    func(*cognitotest.Server)
		met      string // the challenges, in order
		want     string // "ok" or the error
	}{
		{"password", password, nil, "", "ok"},
		{"not ASCII", newPassword, edit(func(u *cognitotest.User) { u.Password = newPassword }), "", "ok"},
		{"wrong password", "x", nil, "", bad},
		{"unknown user", password, func(s *cognitotest.Server) { s.DeleteUser(userName) }, "", bad},
		{"unknown user, told", password, func(s *cognitotest.Server) {
			s.DeleteUser(userName)
			s.Set(cognitotest.HideUnknownUsers(false))
		}, "", "UserNotFoundException: User does not exist."},
		{"unconfirmed", password, edit(func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }), "",
			"UserNotConfirmedException: User is not confirmed."},
		{"new password", password, edit(func(u *cognitotest.User) {
			u.Status, u.RequiredAttributes = cognitotest.ForceChangePassword, []string{"name"}
		}), "NEW_PASSWORD_REQUIRED", "ok"},
		{"TOTP", password, mfa("SOFTWARE_TOKEN_MFA"), "SOFTWARE_TOKEN_MFA", "ok"},
		{"SMS", password, mfa("SMS_MFA"), "SMS_MFA", "CodeMismatchException: Invalid code or auth state for the user."},
		{"choice", password, mfa("SMS_MFA", "SOFTWARE_TOKEN_MFA"), "SELECT_MFA_TYPE SOFTWARE_TOKEN_MFA", "ok"},
		{"new password, then TOTP", password, edit(func(u *cognitotest.User) {
			u.Status, u.MFA = cognitotest.ForceChangePassword, []string{"SOFTWARE_TOKEN_MFA"}
		}), "NEW_PASSWORD_REQUIRED SOFTWARE_TOKEN_MFA", "ok"},
	}
	for _, flow := range []string{"USER_PASSWORD_AUTH", "USER_SRP_AUTH"} {
		t.Run(flow, func(t *testing.T) {
			servers, users, requests := make([]*cognitotest.Server, len(tests)), make([]cognitotest.User, len(tests)), []m{}
			for i, tt := range tests {
				srv := listen(t)
				servers[i] = srv
				users[i], _ = srv.User(userName)
				if tt.setup != nil {
					tt.setup(srv)
				}
				requests = append(requests, m{
					"endpoint": srv.URL, "pool": srv.PoolID, "client": srv.ClientID, "flow": flow,
					"user": userName, "password": tt.password, "newPassword": newPassword,
					// One step ahead, so that it still counts when the machine is slow.
					"code": cognitotest.TOTP(users[i].TOTPSecret, time.Now().Add(30*time.Second)),
				})
			}
			var results []signInResult
			node(t, "signin.cjs", requests, &results)
			for i, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					results[i].check(t, servers[i], users[i], tt.met, tt.want)
					equal(t, "flow of the first call", servers[i].Log()[0].Flow, flow)
				})
			}
		})
	}
}

// signInResult is what signin.cjs says of one request.
type signInResult struct {
	Met           []string
	First, Second session
	Code, Message string
}

func (r signInResult) check(t *testing.T, srv *cognitotest.Server, user cognitotest.User, met, want string) {
	t.Helper()
	equal(t, "challenges", strings.Join(r.Met, " "), met)
	if want != "ok" {
		equal(t, "error", r.Code+": "+r.Message, want)
		return
	}
	equal(t, "error", r.Message, "")
	equal(t, "sub", r.First.ID["sub"], any(user.Sub))
	equal(t, "first session is valid", r.First.Valid, true)
	equal(t, "second session is valid", r.Second.Valid, true)
	equal(t, "sub after the refresh", r.Second.Access["sub"], any(user.Sub))
	equal(t, "same refresh token", r.Second.Refresh == r.First.Refresh, true)
	equal(t, "refreshes", srv.Refreshes(), 1)
	equal(t, "refresh after its sign-out", byTokens(t, srv, r.Second.Refresh).result(), revoked)
}

type verification struct {
	Token  string `json:"token"`
	Use    string `json:"use"`
	Client string `json:"client"`
	want   string
}

func TestAWSJWTVerify(t *testing.T) {
	testpeer.Npm(t)
	srv := listen(t)
	tests := []struct {
		name, pool, issuer       string
		wrongIssuer, wrongClient string
	}{
		{"general", "", srv.Issuer(), "JwtInvalidIssuerError", "JwtInvalidAudienceError"},
		// Cognito's verifier knows no issuer but AWS's.
		{"Cognito's", srv.PoolID, "https://cognito-idp." + srv.Region + ".amazonaws.com/" + srv.PoolID,
			"ParameterValidationError", "CognitoJwtInvalidClientIdError"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			issue := func(f cognitotest.Forgery) (id, access string) {
				claims := m{"iss": tt.issuer}
				maps.Copy(claims, f.Claims)
				f.Claims = claims
				srv.Forge(1, f)
				out := signIn(t, srv).AuthenticationResult
				return out.IdToken, out.AccessToken
			}
			checks := verifications(srv, issue, tt.wrongIssuer, tt.wrongClient)
			var got []string
			node(t, "verify.cjs", m{"issuer": tt.issuer, "jwksURL": srv.JWKSURL(), "pool": tt.pool, "tokens": checks}, &got)
			for i, c := range checks {
				if got[i] != c.want {
					t.Errorf("check %d (%s token for %s): %s, want %s", i, c.Use, c.Client, got[i], c.want)
				}
			}
		})
	}
	if srv.Calls(cognitotest.JWKS) == 0 {
		t.Error("the keys were never fetched")
	}
}

// verifications are good tokens and one of each kind that must be refused.
func verifications(srv *cognitotest.Server, issue func(cognitotest.Forgery) (id, access string), wrongIssuer, wrongClient string) []verification {
	id, access := issue(cognitotest.Forgery{})
	list := []verification{
		{id, "id", srv.ClientID, "ok"},
		{access, "access", srv.ClientID, "ok"},
		{id, "id", "another", wrongClient},
	}
	bad := func(f cognitotest.Forgery, want string) {
		id, _ := issue(f)
		list = append(list, verification{id, "id", srv.ClientID, want})
	}
	bad(cognitotest.Forgery{Claims: m{"aud": "another"}}, wrongClient)
	bad(cognitotest.Forgery{Claims: m{"iss": "https://example.com/other"}}, wrongIssuer)
	bad(cognitotest.Forgery{Age: 2 * time.Hour}, "JwtExpiredError")
	bad(cognitotest.Forgery{WrongKey: true}, "JwtInvalidSignatureError")
	bad(cognitotest.Forgery{Algorithm: "HS256"}, "JwtInvalidSignatureAlgorithmError")
	bad(cognitotest.Forgery{Algorithm: "none"}, "JwtParseError") // it asks for a signature first
	bad(cognitotest.Forgery{KeyID: "other"}, "KidNotFoundInJwksError")
	return list
}
