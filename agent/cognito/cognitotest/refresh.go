package cognitotest

import (
	"encoding/base64"
	"time"
)

// A family is a sign-in with all its refresh tokens.
type family struct {
	user, client string
	signedIn     time.Time // auth_time
	expires      time.Time // of every token in it: rotation does not extend a sign-in
	originJTI    string
	eventID      string
	device       string          // key of the device on which it was made; empty if devices are not remembered
	aliased      bool            // an answer used another name of the user than the challenge
	tokens       []*refreshToken // oldest first; the first was issued at the sign-in
	revoked      bool

	// Of a sign-in at the domain; empty for one with the API.
	nonce, scope string
}

// A refreshToken is a refresh token. The last one of its family is the live one.
type refreshToken struct {
	family  *family
	value   string
	rotated time.Time // when it was first exchanged for another; zero before
	dead    bool      // invalidated by a fork
}

func (f *family) live() *refreshToken { return f.tokens[len(f.tokens)-1] }

// newFamily records a sign-in and issues its first refresh token.
func (s *Server) newFamily(u *user, client string) *family {
	f := &family{
		user: u.Name, client: client,
		signedIn: s.now(), expires: s.now().Add(s.set.refreshLifetime),
		originJTI: newUUID(), eventID: newUUID(),
	}
	s.families[f.eventID] = f
	s.addToken(f)
	return f
}

func (s *Server) addToken(f *family) *refreshToken {
	t := &refreshToken{family: f, value: newRefreshToken()}
	f.tokens = append(f.tokens, t)
	s.tokens[t.value] = t
	return t
}

// newRefreshToken returns random text with the size and form of Cognito's refresh tokens: a JWE of
// five parts and 1785 characters, with a readable header and encrypted content.
func newRefreshToken() string {
	b64 := base64.RawURLEncoding.EncodeToString
	header := b64([]byte(`{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}`))
	return header + "." + b64(random(256)) + "." + b64(random(12)) + "." + b64(random(1004)) + "." + b64(random(16))
}

// refreshAuth is InitiateAuth with REFRESH_TOKEN_AUTH. It never rotates.
func (s *Server) refreshAuth(client string, p map[string]string) (any, error) {
	v, err := required(p, "REFRESH_TOKEN")
	if err != nil {
		return nil, err
	}
	if s.set.rotation {
		return nil, s.set.refusal
	}
	t, u, err := s.refreshable(client, v[0], p["DEVICE_KEY"])
	if err != nil {
		return nil, err
	}
	// The hash is over the real name, even if another name was typed to sign in.
	if err := s.checkSecret(client, u.Name, p["SECRET_HASH"]); err != nil {
		return nil, err
	}
	s.counts.refreshes++
	return authOutput{ChallengeParameters: map[string]string{}, AuthenticationResult: s.issue(u, t.family, "")}, nil
}

type refreshTokensInput struct {
	RefreshToken string
	ClientId     string // spelled as on the wire
	ClientSecret string
	DeviceKey    string
}

type refreshTokensOutput struct{ AuthenticationResult *authResult }

// refreshTokens is GetTokensFromRefreshToken, which works with rotation on and off.
func (s *Server) refreshTokens(in refreshTokensInput) (any, error) {
	if err := s.checkClient(in.ClientId); err != nil {
		return nil, err
	}
	if in.RefreshToken == "" {
		return nil, invalidParameter("Missing required parameter REFRESH_TOKEN")
	}
	if err := s.checkPlainSecret(in.ClientId, in.ClientSecret); err != nil {
		return nil, err
	}
	t, u, err := s.refreshable(in.ClientId, in.RefreshToken, in.DeviceKey)
	if err != nil {
		return nil, err
	}
	newToken := ""
	if s.set.rotation {
		newToken = s.rotate(t).value
	}
	s.counts.refreshes++
	return refreshTokensOutput{s.issue(u, t.family, newToken)}, nil
}

// checkPlainSecret checks the secret in calls that send it in plain text.
func (s *Server) checkPlainSecret(client, secret string) error {
	if s.set.secret != secret {
		return notAuthorized("Unable to verify secret for client " + client)
	}
	return nil
}

// refreshable returns the token and its user, or the refusal. Cognito returns the same error for
// an unknown token, for the token of another client, and for a token without its device key.
func (s *Server) refreshable(client, value, device string) (*refreshToken, *user, error) {
	t := s.tokens[value]
	if t == nil || t.family.client != client {
		return nil, nil, notAuthorized("Invalid Refresh Token.")
	}
	if t.family.revoked {
		return nil, nil, notAuthorized("Refresh Token has been revoked")
	}
	if !s.now().Before(t.family.expires) {
		return nil, nil, notAuthorized("Refresh Token has expired")
	}
	if !t.usable(s.now(), s.set.grace) {
		// Nothing is revoked: the newest token stays valid.
		return nil, nil, apiError{"RefreshTokenReuseException", "Refresh token reuse detected"}
	}
	u := s.users[t.family.user] // exists: deleting the user would have revoked the family
	if !s.deviceMatches(t.family, u, device) {
		return nil, nil, notAuthorized("Invalid Refresh Token.")
	}
	return t, u, checkAccount(u)
}

// usable reports whether t is the live token, or was replaced less than grace ago.
func (t *refreshToken) usable(now time.Time, grace time.Duration) bool {
	if t == t.family.live() {
		return true
	}
	return !t.dead && now.Sub(t.rotated) < grace
}

// rotate exchanges t for a new live token. If t had been exchanged before (a replay within the
// grace period), the family forks: tokens that were issued after t are invalidated.
func (s *Server) rotate(t *refreshToken) *refreshToken {
	if t.rotated.IsZero() {
		t.rotated = s.now()
	}
	after := false
	for _, o := range t.family.tokens {
		o.dead = o.dead || after
		after = after || o == t
	}
	return s.addToken(t.family)
}
