package cognitotest

import (
	"encoding/base64"
	"time"
)

// A family is one sign-in: all refresh tokens that come of it.
type family struct {
	user, client string
	signedIn     time.Time // auth_time
	expires      time.Time // of every token in it: rotation does not extend a sign-in
	originJTI    string
	eventID      string
	device       string          // key of the device that it was made on; empty where none is remembered
	aliased      bool            // an answer named the user otherwise than the challenge
	tokens       []*refreshToken // oldest first; the first is the sign-in's own
	revoked      bool
}

// refreshToken is one refresh token. The last of its family is the live one.
type refreshToken struct {
	family  *family
	value   string
	rotated time.Time // when it was first exchanged for another; zero before
	dead    bool      // a fork has overtaken it
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

// newRefreshToken is random but has the size and shape of Cognito's: a JWE of five
// parts, 1785 characters, whose header is readable and whose content is not.
func newRefreshToken() string {
	b64 := base64.RawURLEncoding.EncodeToString
	header := b64([]byte(`{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}`))
	return header + "." + b64(random(256)) + "." + b64(random(12)) + "." + b64(random(1004)) + "." + b64(random(16))
}

// refreshAuth is InitiateAuth with REFRESH_TOKEN_AUTH. It never rotates.
func (s *Server) refreshAuth(client string, p map[string]string) (any, error) {
	v, err := need(p, "REFRESH_TOKEN")
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
	// The hash is over the real name, whatever was typed to sign in.
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

// checkPlainSecret checks the secret where Cognito wants it plain and not hashed.
func (s *Server) checkPlainSecret(client, secret string) error {
	if s.set.secret != secret {
		return notAuthorized("Unable to verify secret for client " + client)
	}
	return nil
}

// refreshable returns the token and the user that may refresh with it, or the
// refusal. Cognito gives the same error to a bad token, to one of another client and to
// one that comes without its device's key.
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
		// Nothing is revoked: the newest token goes on working.
		return nil, nil, apiError{"RefreshTokenReuseException", "Refresh token reuse detected"}
	}
	u := s.users[t.family.user] // there: deleting it would have revoked the family
	if !s.fitsDevice(t.family, u, device) {
		return nil, nil, notAuthorized("Invalid Refresh Token.")
	}
	return t, u, usable(u)
}

// usable tells whether t is the live token, or was rotated out less than grace ago.
func (t *refreshToken) usable(now time.Time, grace time.Duration) bool {
	if t == t.family.live() {
		return true
	}
	return !t.dead && now.Sub(t.rotated) < grace
}

// rotate exchanges t for a new live token. Where t had been exchanged before (a
// replay within the grace period), the family forks: what was issued after t is dead.
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
