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

// This test checks the tokens with an independent verifier. Package amplifyjs does the same with whole
// clients.

// node runs a script of testdata with in on its stdin and decodes its output into out.
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

// listen starts a pool with one user on a real socket.
func listen(t *testing.T, opts ...cognitotest.Option) *cognitotest.Server {
	t.Helper()
	srv := cognitotest.New(opts...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: userName, Password: password, Email: "ada@example.com"})
	return srv
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
		// The verifier accepts only AWS's issuers.
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

// verifications returns valid tokens, and one of each kind that must be refused.
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
