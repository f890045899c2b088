package cognitotest_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

func fetchKeys(t *testing.T, srv *cognitotest.Server) jose.JSONWebKeySet {
	t.Helper()
	res, err := srv.Client().Get(srv.JWKSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	return set
}

// verifies reports whether the key that is published under the token's kid made its signature.
func verifies(set jose.JSONWebKeySet, token string) bool {
	sig, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return false
	}
	for _, k := range set.Key(sig.Signatures[0].Header.KeyID) {
		if _, err := sig.Verify(k); err == nil {
			return true
		}
	}
	return false
}

func TestTokens(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now), cognitotest.IDTokenLifetime(5*time.Minute), cognitotest.AccessTokenLifetime(10*time.Minute))
	srv.EditUser(userName, func(u *cognitotest.User) {
		u.Groups, u.Claims = []string{"compliance"}, map[string]any{"custom:role": "officer"}
	})
	out := signIn(t, srv).AuthenticationResult
	equal(t, "TokenType", out.TokenType, "Bearer")
	equal(t, "ExpiresIn", out.ExpiresIn, 600)
	user, _ := srv.User(userName)
	now := float64(clock.Now().Unix())
	set := fetchKeys(t, srv)

	id := claims(t, out.IdToken)
	want := m{"sub": user.Sub, "iss": srv.Issuer(), "aud": srv.ClientID, "token_use": "id", "iat": now, "auth_time": now,
		"exp": now + 300, "cognito:username": userName, "email": "ada@example.com", "email_verified": true, "custom:role": "officer"}
	for name := range want {
		equal(t, "ID token's "+name, id[name], want[name])
	}
	names := slices.AppendSeq([]string{"jti", "origin_jti", "event_id", "cognito:groups"}, maps.Keys(want))
	slices.Sort(names)
	equal(t, "ID token's claims", strings.Join(slices.Sorted(maps.Keys(id)), " "), strings.Join(names, " "))
	equal(t, "ID token verifies", verifies(set, out.IdToken), true)

	access := claims(t, out.AccessToken)
	for name, want := range (m{"sub": user.Sub, "iss": srv.Issuer(), "client_id": srv.ClientID, "aud": nil, "token_use": "access",
		"exp": now + 600, "username": userName, "scope": "aws.cognito.signin.user.admin", "origin_jti": id["origin_jti"]}) {
		equal(t, "access token's "+name, access[name], want)
	}
	equal(t, "access token verifies", verifies(set, out.AccessToken), true)
	if part(t, out.IdToken, 0)["kid"] == part(t, out.AccessToken, 0)["kid"] {
		t.Error("ID and access token have one kid")
	}
}

// TokenIssuer changes the tokens and not the place of their keys.
func TestTokenIssuer(t *testing.T) {
	srv := start(t, cognitotest.TokenIssuer("https://issuer.example/pool"))
	out := signIn(t, srv).AuthenticationResult
	equal(t, "ID token's iss", claims(t, out.IdToken)["iss"], any("https://issuer.example/pool"))
	equal(t, "access token's iss", claims(t, out.AccessToken)["iss"], any("https://issuer.example/pool"))
	equal(t, "ID token verifies", verifies(fetchKeys(t, srv), out.IdToken), true)
	srv.Set(cognitotest.TokenIssuer(""))
	equal(t, "iss again", claims(t, signIn(t, srv).AuthenticationResult.IdToken)["iss"], any(srv.Issuer()))
}

func TestKeyRotation(t *testing.T) {
	srv := start(t)
	old := signIn(t, srv).AuthenticationResult.IdToken
	oldKeys := fetchKeys(t, srv)
	srv.RotateKeys()
	now := signIn(t, srv).AuthenticationResult.IdToken
	both := fetchKeys(t, srv)
	equal(t, "new token by old keys", verifies(oldKeys, now), false)
	equal(t, "old token by both", verifies(both, old), true)
	equal(t, "new token by both", verifies(both, now), true)
	srv.DropOldKeys()
	newKeys := fetchKeys(t, srv)
	equal(t, "old token by new keys", verifies(newKeys, old), false)
	equal(t, "new token by new keys", verifies(newKeys, now), true)
	equal(t, "number of keys", len(newKeys.Keys), 2)
}

func TestForeignJWKS(t *testing.T) {
	srv := start(t)
	token := signIn(t, srv).AuthenticationResult.IdToken
	right := fetchKeys(t, srv)
	srv.Set(cognitotest.ForeignJWKS(true))
	wrong := fetchKeys(t, srv)
	equal(t, "kid", wrong.Keys[0].KeyID, right.Keys[0].KeyID)
	equal(t, "verifies by a foreign key", verifies(wrong, token), false)
	srv.Set(cognitotest.ForeignJWKS(false))
	equal(t, "verifies again", verifies(fetchKeys(t, srv), token), true)
}

func TestForge(t *testing.T) {
	id := func(t *testing.T, srv *cognitotest.Server) string {
		return byTokens(t, srv, signIn(t, srv).refresh()).AuthenticationResult.IdToken
	}
	tests := []struct {
		name    string
		forgery cognitotest.Forgery
		good    bool // the signature
		check   func(t *testing.T, header, claims m)
	}{
		{"HS256", cognitotest.Forgery{Algorithm: "HS256"}, false, func(t *testing.T, h, _ m) { equal(t, "alg", h["alg"], any("HS256")) }},
		{"none", cognitotest.Forgery{Algorithm: "none"}, false, func(t *testing.T, h, _ m) { equal(t, "alg", h["alg"], any("none")) }},
		{"kid", cognitotest.Forgery{KeyID: "other"}, false, func(t *testing.T, h, _ m) { equal(t, "kid", h["kid"], any("other")) }},
		{"key", cognitotest.Forgery{WrongKey: true}, false, func(t *testing.T, h, _ m) { equal(t, "alg", h["alg"], any("RS256")) }},
		{"claims", cognitotest.Forgery{Claims: m{"iss": "https://x", "sub": nil}}, true, func(t *testing.T, _, c m) {
			equal(t, "iss", c["iss"], any("https://x"))
			equal(t, "sub", c["sub"], nil)
		}},
		{"expired", cognitotest.Forgery{Age: 2 * time.Hour}, true, func(t *testing.T, _, c m) {
			equal(t, "exp-iat", c["exp"].(float64)-c["iat"].(float64), 3600)
			equal(t, "expired", int64(c["exp"].(float64)) < time.Now().Unix(), true)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t)
			token := signIn(t, srv).refresh()
			srv.Forge(1, tt.forgery)
			forged := byTokens(t, srv, token).AuthenticationResult.IdToken
			equal(t, "signature is good", verifies(fetchKeys(t, srv), forged), tt.good)
			tt.check(t, part(t, forged, 0), claims(t, forged))
			next := byTokens(t, srv, token).AuthenticationResult.IdToken
			equal(t, "the next one's is", verifies(fetchKeys(t, srv), next), true)
			equal(t, "and its iss", claims(t, next)["iss"], any(srv.Issuer()))
		})
	}
	srv := start(t)
	srv.Forge(-1, cognitotest.Forgery{KeyID: "other"})
	id(t, srv)
	equal(t, "kid while all are forged", part(t, id(t, srv), 0)["kid"], any("other"))
	srv.Forge(0, cognitotest.Forgery{})
	equal(t, "verifies after that", verifies(fetchKeys(t, srv), id(t, srv)), true)
}

func TestOmitLifetime(t *testing.T) {
	out := signIn(t, start(t, cognitotest.OmitLifetime(true))).AuthenticationResult
	equal(t, "ExpiresIn", out.ExpiresIn, 0)
	equal(t, "TokenType", out.TokenType, "")
}
