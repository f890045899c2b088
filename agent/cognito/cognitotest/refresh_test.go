package cognitotest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	reuse   = "RefreshTokenReuseException: Refresh token reuse detected"
	revoked = "NotAuthorizedException: Refresh Token has been revoked"
	expired = "NotAuthorizedException: Refresh Token has expired"
	invalid = "NotAuthorizedException: Invalid Refresh Token."
)

// A step is a step of a refresh test. Tokens are numbered in the order in which they were issued: 0 is
// that of the sign-in.
type step struct {
	do    string // "use", "revoke" or "wait"
	token int
	wait  time.Duration
	want  string
}

func use(token int, want string) step                   { return step{do: "use", token: token, want: want} }
func revokes(token int) step                            { return step{do: "revoke", token: token, want: "ok"} }
func wait(d time.Duration) step                         { return step{do: "wait", wait: d} }
func opts(s ...cognitotest.Option) []cognitotest.Option { return s }

func TestRotation(t *testing.T) {
	const grace = 30 * time.Second
	rotating := opts(cognitotest.Rotation(grace))
	tests := []struct {
		name  string
		opts  []cognitotest.Option
		steps []step
	}{
		{"chain", rotating, []step{use(0, "ok"), use(1, "ok"), use(2, "ok")}},
		{"replay outside grace revokes nothing", rotating, []step{
			use(0, "ok"), wait(grace), use(0, reuse), use(1, "ok")}},
		{"last moment of grace", rotating, []step{
			use(0, "ok"), wait(grace - 1), use(0, "ok")}},
		{"grace 0", opts(cognitotest.Rotation(0)), []step{
			use(0, "ok"), use(0, reuse), use(1, "ok")}},
		{"replay inside grace forks: the newest child alone goes on", rotating, []step{
			use(0, "ok"), use(0, "ok"), use(1, reuse), use(2, "ok")}},
		{"a fork overtakes grandchildren", rotating, []step{
			use(0, "ok"), use(1, "ok"), use(0, "ok"), use(2, reuse), use(1, reuse), use(3, "ok")}},
		{"grace counts from the first exchange", rotating, []step{
			use(0, "ok"), wait(20 * time.Second), use(0, "ok"), wait(10 * time.Second), use(0, reuse)}},
		{"the live token ends the family", rotating, []step{
			use(0, "ok"), use(1, "ok"), revokes(2), use(2, revoked), use(0, revoked)}},
		{"the first token ends the family, forks too", rotating, []step{
			use(0, "ok"), use(1, "ok"), use(1, "ok"), use(3, "ok"), revokes(0), use(4, revoked)}},
		{"a token of mid-chain ends nothing", rotating, []step{
			use(0, "ok"), use(1, "ok"), revokes(1), use(2, "ok")}},
		{"an overtaken sibling ends nothing", rotating, []step{
			use(0, "ok"), use(0, "ok"), revokes(1), use(2, "ok")}},
		{"revoking again", rotating, []step{revokes(0), revokes(0), use(0, revoked)}},
		{"without rotation one token serves", nil, []step{use(0, "ok"), use(0, "ok"), revokes(0), use(0, revoked)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := newClock()
			srv := start(t, append(tt.opts, cognitotest.Now(clock.Now))...)
			tokens := []string{signIn(t, srv).refresh()}
			for i, st := range tt.steps {
				got := ""
				switch st.do {
				case "wait":
					clock.Advance(st.wait)
				case "revoke":
					got = revoke(t, srv, tokens[st.token])
				case "use":
					out := byTokens(t, srv, tokens[st.token])
					got = out.result()
					if out.AuthenticationResult != nil && out.refresh() != "" {
						tokens = append(tokens, out.refresh())
					}
				}
				if got != st.want {
					t.Fatalf("step %d, %s token %d: %s, want %s", i, st.do, st.token, got, st.want)
				}
			}
		})
	}
}

func TestRotationKeepsTheDeadline(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now), cognitotest.Rotation(0), cognitotest.RefreshTokenLifetime(time.Hour))
	token := signIn(t, srv).refresh()
	clock.Advance(59 * time.Minute)
	out := byTokens(t, srv, token)
	equal(t, "refresh in time", out.result(), "ok")
	clock.Advance(time.Minute)
	equal(t, "refresh of the new token at the old deadline", byTokens(t, srv, out.refresh()).result(), expired)
}

func TestRefreshCalls(t *testing.T) {
	tests := []struct {
		name         string
		opts         []cognitotest.Option
		auth, tokens string
		rotated      bool
	}{
		{"without rotation both work", nil, "ok", "ok", false},
		{"with rotation InitiateAuth is refused", opts(cognitotest.Rotation(0)), invalid, "ok", true},
		{"the refusal can be chosen", opts(cognitotest.Rotation(0), cognitotest.RotationRefusal("InvalidParameterException", "no")),
			"InvalidParameterException: no", "ok", true},
		{"the flow can be off", opts(cognitotest.Flows("USER_PASSWORD_AUTH")),
			"InvalidParameterException: REFRESH_TOKEN_AUTH flow not enabled for this client", "ok", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t, tt.opts...)
			token := signIn(t, srv).refresh()
			auth := byAuth(t, srv, token)
			equal(t, "InitiateAuth", auth.result(), tt.auth)
			if auth.AuthenticationResult != nil {
				equal(t, "InitiateAuth's refresh token", auth.refresh(), "")
			}
			tokens := byTokens(t, srv, token)
			equal(t, "GetTokensFromRefreshToken", tokens.result(), tt.tokens)
			equal(t, "rotated", tokens.refresh() != "", tt.rotated)
		})
	}
}

func TestRefreshKeepsTheSignIn(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	first := signIn(t, srv)
	clock.Advance(10 * time.Minute)
	a, b := claims(t, first.AuthenticationResult.IdToken), claims(t, byTokens(t, srv, first.refresh()).AuthenticationResult.IdToken)
	for _, name := range []string{"sub", "origin_jti", "event_id", "auth_time"} {
		equal(t, name, b[name], a[name])
	}
	equal(t, "iat", b["iat"].(float64)-a["iat"].(float64), 600)
	if a["jti"] == b["jti"] {
		t.Error("two tokens with one jti")
	}
	equal(t, "sign-ins", srv.SignIns(), 1)
	equal(t, "refreshes", srv.Refreshes(), 1)
}

func TestRefreshRefusals(t *testing.T) {
	tests := []struct {
		name string
		do   func(*cognitotest.Server)
		want string
	}{
		{"disabled", func(s *cognitotest.Server) {
			s.EditUser(userName, func(u *cognitotest.User) { u.Disabled = true })
		}, "NotAuthorizedException: User is disabled."},
		{"deleted", func(s *cognitotest.Server) { s.DeleteUser(userName) }, revoked},
		{"signed out everywhere", func(s *cognitotest.Server) { s.SignOutUser(userName) }, revoked},
		{"pool refuses revocation, nothing happened", func(s *cognitotest.Server) { s.Set(cognitotest.Revocation(false)) }, "ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t)
			token := signIn(t, srv).refresh()
			tt.do(srv)
			equal(t, "refresh", byTokens(t, srv, token).result(), tt.want)
		})
	}
}

func TestRefreshTokenOfAnotherClient(t *testing.T) {
	srv := start(t)
	srv.AddClient("another")
	token := signIn(t, srv).refresh()
	out := call(t, srv, "GetTokensFromRefreshToken", m{"ClientId": "another", "RefreshToken": token})
	equal(t, "another client's refresh", out.result(), invalid)
	call(t, srv, "RevokeToken", m{"ClientId": "another", "Token": token})
	equal(t, "refresh after another client's revoke", byTokens(t, srv, token).result(), "ok")
	equal(t, "a token never issued", byTokens(t, srv, token+"x").result(), invalid)
}

func TestRevokeToken(t *testing.T) {
	srv := start(t)
	out := signIn(t, srv)
	equal(t, "never issued", revoke(t, srv, "no such token"), "ok")
	equal(t, "an access token", revoke(t, srv, out.AuthenticationResult.AccessToken),
		"UnsupportedTokenTypeException: Unsupported token type.")
	equal(t, "refresh before", byTokens(t, srv, out.refresh()).result(), "ok")
	equal(t, "its own", revoke(t, srv, out.refresh()), "ok")
	user := call(t, srv, "GetUser", m{"AccessToken": out.AuthenticationResult.AccessToken})
	equal(t, "access token after", user.result(), "NotAuthorizedException: Access Token has been revoked")
}

// LiveSignIns counts sign-ins, not tokens, and only those that are neither revoked nor expired.
func TestLiveSignIns(t *testing.T) {
	srv := start(t, cognitotest.Rotation(0))
	equal(t, "live, before", srv.LiveSignIns(), 0)
	first := signIn(t, srv).refresh()
	signIn(t, srv)
	equal(t, "refresh", byTokens(t, srv, first).result(), "ok")
	equal(t, "live", srv.LiveSignIns(), 2)
	equal(t, "revoke", revoke(t, srv, first), "ok")
	equal(t, "live, one revoked", srv.LiveSignIns(), 1)
}

func TestRevocationOff(t *testing.T) {
	srv := start(t, cognitotest.Revocation(false))
	equal(t, "revoke", revoke(t, srv, signIn(t, srv).refresh()),
		"UnsupportedOperationException: Revoke Token is not enabled for this client.")
}

// Without revocation, tokens have no origin_jti and no jti, but GlobalSignOut works.
func TestTokensWithoutRevocation(t *testing.T) {
	srv := start(t, cognitotest.Revocation(false))
	out := signIn(t, srv)
	for _, token := range []string{out.access(), out.AuthenticationResult.IdToken} {
		c := claims(t, token)
		equal(t, "origin_jti", c["origin_jti"], nil)
		equal(t, "jti", c["jti"], nil)
	}
	equal(t, "GetUser", call(t, srv, "GetUser", m{"AccessToken": out.access()}).result(), "ok")
	equal(t, "GlobalSignOut", call(t, srv, "GlobalSignOut", m{"AccessToken": out.access()}).result(), "ok")
	equal(t, "refresh", byTokens(t, srv, out.refresh()).result(), revoked)
}

func TestRevokeTokenWrongClient(t *testing.T) {
	srv := start(t)
	in := m{"ClientId": "nobody", "Token": signIn(t, srv).refresh()}
	equal(t, "no such client", call(t, srv, "RevokeToken", in).Code, "ResourceNotFoundException")
	srv.Set(cognitotest.ClientSecret("sekrit"))
	in["ClientId"] = srv.ClientID
	equal(t, "without the secret", call(t, srv, "RevokeToken", in).Code, "NotAuthorizedException")
	in["ClientSecret"] = "sekrit"
	equal(t, "with it", call(t, srv, "RevokeToken", in).result(), "ok")
}

// When rotation is turned off, the live token stays valid.
func TestRotationTurnedOff(t *testing.T) {
	srv := start(t, cognitotest.Rotation(0))
	first := signIn(t, srv).refresh()
	second := byTokens(t, srv, first).refresh()
	srv.Set(cognitotest.NoRotation())
	for range 2 {
		equal(t, "the live one", byAuth(t, srv, second).result(), "ok")
	}
	equal(t, "the one before", byAuth(t, srv, first).result(), reuse)
}

func TestAccessTokenRefusals(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	token := signIn(t, srv).AuthenticationResult.AccessToken
	get := func(token string) string { return call(t, srv, "GetUser", m{"AccessToken": token}).result() }
	equal(t, "tampered with", get(token[:len(token)-8]+"AAAAAAAA"), "NotAuthorizedException: Invalid Access Token")
	equal(t, "not a token", get("x"), "NotAuthorizedException: Invalid Access Token")
	clock.Advance(time.Hour)
	equal(t, "expired", get(token), "NotAuthorizedException: Access Token has expired")
}

func TestGlobalSignOut(t *testing.T) {
	srv := start(t)
	a, b := signIn(t, srv), signIn(t, srv)
	equal(t, "GetUser", call(t, srv, "GetUser", m{"AccessToken": a.AuthenticationResult.AccessToken}).Username, userName)
	equal(t, "by an ID token", call(t, srv, "GlobalSignOut", m{"AccessToken": a.AuthenticationResult.IdToken}).result(),
		"NotAuthorizedException: Invalid Access Token")
	equal(t, "sign-out", call(t, srv, "GlobalSignOut", m{"AccessToken": a.AuthenticationResult.AccessToken}).result(), "ok")
	equal(t, "the other sign-in", byTokens(t, srv, b.refresh()).result(), revoked)
}

// It ends all sign-ins of the user, with every client and in every state of rotation, but none of
// another user.
func TestGlobalSignOutEndsEveryFamily(t *testing.T) {
	srv := start(t, cognitotest.Rotation(time.Minute))
	srv.AddClient("another")
	srv.AddUser(cognitotest.User{Name: "bob", Password: password})
	bob := call(t, srv, "InitiateAuth", passwordAuth(srv, "bob", password))
	in := passwordAuth(srv, userName, password)
	in["ClientId"] = "another"
	elsewhere := call(t, srv, "InitiateAuth", in)
	first := signIn(t, srv)
	second := byTokens(t, srv, first.refresh())
	equal(t, "sign-out", call(t, srv, "GlobalSignOut", m{"AccessToken": second.access()}).result(), "ok")
	equal(t, "the sign-in's own token", byTokens(t, srv, first.refresh()).result(), revoked)
	equal(t, "the rotated one", byTokens(t, srv, second.refresh()).result(), revoked)
	equal(t, "another client's", call(t, srv, "GetTokensFromRefreshToken", m{"ClientId": "another", "RefreshToken": elsewhere.refresh()}).result(), revoked)
	equal(t, "its access token", call(t, srv, "GetUser", m{"AccessToken": elsewhere.access()}).result(), "NotAuthorizedException: Access Token has been revoked")
	equal(t, "another user's", byTokens(t, srv, bob.refresh()).result(), "ok")
	equal(t, "a new sign-in", byTokens(t, srv, signIn(t, srv).refresh()).result(), "ok")
}

func TestRefreshTokenShape(t *testing.T) {
	token := signIn(t, start(t)).refresh()
	equal(t, "length", len(token), 1785)
	equal(t, "dots", strings.Count(token, "."), 4)
	equal(t, "alg", part(t, token, 0)["alg"], any("RSA-OAEP"))
}
