package cognitotest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"time"
)

// A Forgery spoils tokens in one or more ways. The zero value spoils nothing.
//
//	srv.Forge(1, cognitotest.Forgery{Claims: map[string]any{"aud": "someone else"}})
type Forgery struct {
	// Algorithm in the header: "HS256" signs with the public key as an HMAC secret,
	// "none" leaves the signature out; empty is RS256.
	Algorithm string
	KeyID     string // a kid that is not published
	WrongKey  bool   // signed by another key, under the right kid

	// Claims are put over the token's own; nil takes a claim out. Those only an access
	// token has (client_id, username) are in both tokens then.
	Claims map[string]any
	// Age moves iat, auth_time and exp into the past: more than the lifetime makes an
	// expired token, less than 0 one from the future.
	Age time.Duration
}

// Forge spoils the next n pairs of tokens that are issued; below 0 all of them, and
// Forge(0, Forgery{}) ends that.
func (s *Server) Forge(n int, f Forgery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forge, s.forgery = n, f
}

func (s *Server) takeForgery() Forgery {
	if s.forge == 0 {
		return Forgery{}
	}
	s.forge = max(s.forge-1, -1)
	return s.forgery
}

func (f Forgery) sign(k *signingKey, claims map[string]any) string {
	header := map[string]string{"kid": k.kid, "alg": "RS256"}
	if f.KeyID != "" {
		header["kid"] = f.KeyID
	}
	f.spoil(claims)
	if f.WrongKey {
		k = sharedKey(k.foreign)
	}
	switch f.Algorithm {
	case "", "RS256":
		return jwt(header, claims, k.rs256)
	case "none":
		header["alg"] = f.Algorithm
		return jwt(header, claims, func(string) []byte { return nil })
	default:
		header["alg"] = f.Algorithm
		return jwt(header, claims, k.hs256)
	}
}

func (f Forgery) spoil(claims map[string]any) {
	for _, name := range []string{"iat", "auth_time", "exp"} {
		claims[name] = claims[name].(int64) - int64(f.Age/time.Second)
	}
	maps.Copy(claims, f.Claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
}

// hs256 signs with what everybody knows, the public key in PEM: a verifier that
// lets the token choose its algorithm takes it.
func (k *signingKey) hs256(input string) []byte {
	der, _ := x509.MarshalPKIXPublicKey(&k.private.PublicKey) // an RSA key always can
	m := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	m.Write([]byte(input))
	return m.Sum(nil)
}
