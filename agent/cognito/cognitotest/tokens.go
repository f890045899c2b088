package cognitotest

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// authResult is AuthenticationResult.
type authResult struct {
	AccessToken  string
	ExpiresIn    int    `json:",omitempty"`
	IdToken      string // spelled as on the wire
	RefreshToken string `json:",omitempty"`
	TokenType    string `json:",omitempty"`

	NewDeviceMetadata *newDevice `json:",omitempty"`
}

// issue returns a new ID token and access token. refreshToken is empty unless there is a new
// one: a refresh without rotation returns none.
func (s *Server) issue(u *user, f *family, refreshToken string) *authResult {
	forgery := s.takeForgery()
	now := s.clock()
	keys := s.signing()
	out := &authResult{
		IdToken:      forgery.sign(keys.id, s.idClaims(u, f, now)),
		AccessToken:  forgery.sign(keys.access, s.accessClaims(u, f, now)),
		RefreshToken: refreshToken,
	}
	if !s.set.withoutLifetime {
		out.ExpiresIn, out.TokenType = int(s.set.accessLifetime/time.Second), "Bearer"
	}
	return out
}

// commonClaims are those of both tokens. Times are whole seconds.
func (s *Server) commonClaims(u *user, f *family, now time.Time, lifetime time.Duration) map[string]any {
	c := map[string]any{
		"sub":       u.Sub,
		"iss":       cmp.Or(s.set.issuer, s.Issuer()),
		"event_id":  f.eventID,
		"auth_time": f.signedIn.Add(s.set.skew).Unix(),
		"iat":       now.Unix(),
		"exp":       now.Add(lifetime).Unix(),
	}
	if !s.set.noRevocation {
		c["origin_jti"], c["jti"] = f.originJTI, newUUID()
	}
	if len(u.Groups) > 0 {
		c["cognito:groups"] = u.Groups
	}
	return c
}

func (s *Server) idClaims(u *user, f *family, now time.Time) map[string]any {
	c := s.commonClaims(u, f, now, s.set.idLifetime)
	c["token_use"] = "id"
	if f.nonce != "" {
		c["nonce"] = cmp.Or(s.set.nonce, f.nonce)
	}
	c["aud"] = f.client
	c["cognito:username"] = u.Name
	if u.Email != "" {
		c["email"], c["email_verified"] = u.Email, true
	}
	if u.Phone != "" {
		c["phone_number"], c["phone_number_verified"] = u.Phone, true
	}
	maps.Copy(c, u.Claims)
	return c
}

func (s *Server) accessClaims(u *user, f *family, now time.Time) map[string]any {
	c := s.commonClaims(u, f, now, s.set.accessLifetime)
	c["token_use"] = "access"
	c["client_id"] = f.client
	c["username"] = u.Name
	c["scope"] = cmp.Or(f.scope, adminScope)
	if f.device != "" && !f.aliased {
		c["device_key"] = f.device
	}
	return c
}

// jwt returns a token of a header and claims, signed by sign.
func jwt(header map[string]string, claims map[string]any, sign func(input string) []byte) string {
	input := b64URL(mustJSON(header)) + "." + b64URL(mustJSON(claims))
	return input + "." + b64URL(sign(input))
}

func (k *signingKey) rs256(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, k.private, crypto.SHA256, sum[:])
	if err != nil {
		panic("cognitotest: " + err.Error())
	}
	return sig
}

// bearer returns the user of a valid access token, and its claims.
func (s *Server) bearer(token string) (*user, ownClaims, error) {
	c, ok := s.open(token)
	if !ok || c.Use != "access" {
		return nil, c, notAuthorized("Invalid Access Token")
	}
	f := s.families[c.EventID]
	switch {
	case f == nil:
		return nil, c, notAuthorized("Invalid Access Token")
	case f.revoked:
		return nil, c, notAuthorized("Access Token has been revoked")
	case f.scope != "" && !slices.Contains(strings.Fields(f.scope), adminScope):
		return nil, c, notAuthorized("Access Token does not have required scopes")
	case s.clock().Unix() >= c.Expires:
		return nil, c, notAuthorized("Access Token has expired")
	}
	u := s.users[f.user]
	return u, c, checkAccount(u)
}

type ownClaims struct {
	Use       string `json:"token_use"`
	EventID   string `json:"event_id"`
	DeviceKey string `json:"device_key"`
	Expires   int64  `json:"exp"`
}

// open reads a token that one of the published keys has signed.
func (s *Server) open(token string) (ownClaims, bool) {
	var c ownClaims
	part := strings.Split(token, ".")
	if len(part) != 3 {
		return c, false
	}
	sig, _ := base64.RawURLEncoding.DecodeString(part[2])
	sum := sha256.Sum256([]byte(part[0] + "." + part[1]))
	for _, pair := range s.keys {
		if rsa.VerifyPKCS1v15(&pair.access.private.PublicKey, crypto.SHA256, sum[:], sig) == nil {
			body, _ := base64.RawURLEncoding.DecodeString(part[1])
			return c, json.Unmarshal(body, &c) == nil
		}
	}
	return c, false
}

func b64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func newUUID() string {
	b := random(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
