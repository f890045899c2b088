package cognitotest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"time"
)

// A Forgery falsifies tokens in one or more ways. The zero value changes nothing.
//
//	srv.Forge(1, cognitotest.Forgery{Claims: map[string]any{"aud": "someone else"}})
type Forgery struct {
	// Algorithm is the alg of the header: "HS256" signs with the public key as an HMAC secret,
	// "none" omits the signature; empty means RS256.
	Algorithm string
	KeyID     string // a kid that is not published
	WrongKey  bool   // signed with another key, under the right kid

	// Claims replace the token's claims; nil removes a claim. Claims that normally only an
	// access token has (client_id, username) then appear in both tokens.
	Claims map[string]any
	// Age moves iat, auth_time and exp into the past. An Age above the lifetime makes an
	// expired token, a negative one a token from the future.
	Age time.Duration
}

// Forge falsifies the next n pairs of tokens that are issued. A negative n means all of them,
// until Forge(0, Forgery{}).
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
	f.forge(claims)
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

func (f Forgery) forge(claims map[string]any) {
	for _, name := range []string{"iat", "auth_time", "exp"} {
		claims[name] = claims[name].(int64) - int64(f.Age/time.Second)
	}
	maps.Copy(claims, f.Claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
}

// hs256 signs with the public key in PEM, which everybody knows. A verifier that lets the token
// choose the algorithm accepts such a token.
func (k *signingKey) hs256(input string) []byte {
	der, _ := x509.MarshalPKIXPublicKey(&k.private.PublicKey) // an RSA key always can
	m := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	m.Write([]byte(input))
	return m.Sum(nil)
}
