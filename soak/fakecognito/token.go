package fakecognito

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"time"
)

const keyID = "soak-1"

var b64 = base64.RawURLEncoding

func newKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// newRefreshToken returns random text as long as one of Cognito's.
func newRefreshToken() string {
	raw := make([]byte, 1338)
	_, _ = rand.Read(raw) // never fails
	return b64.EncodeToString(raw)
}

func (p *Pool) keySet() any {
	return map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": keyID,
		"n": b64.EncodeToString(p.key.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(p.key.E)).Bytes()),
	}}}
}

// claims are those of an ID token.
type claims struct {
	Sub      string `json:"sub"`
	Iss      string `json:"iss"`
	Aud      string `json:"aud"`
	Use      string `json:"token_use"`
	Username string `json:"cognito:username"`
	AuthTime int64  `json:"auth_time"`
	Iat      int64  `json:"iat"`
	Exp      int64  `json:"exp"`
}

func (p *Pool) idToken(now time.Time) string {
	encode := func(v any) string {
		_, body := render(v, nil)
		return b64.EncodeToString(body)
	}
	input := encode(map[string]string{"alg": "RS256", "kid": keyID}) + "." + encode(claims{
		Sub: "5f1e" + p.opts.Name, Iss: p.Issuer(), Aud: p.ClientID(), Use: "id", Username: User,
		AuthTime: now.Unix(), Iat: now.Unix(), Exp: now.Add(p.opts.Life).Unix(),
	})
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		panic("fakecognito: " + err.Error())
	}
	return input + "." + b64.EncodeToString(signature)
}

// Check returns an error unless token is an ID token of this pool that has not expired at
// the time at. It never quotes the token.
func (p *Pool) Check(token string, at time.Time) error {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return errors.New("it is no JWT")
	}
	signature, err := b64.DecodeString(token[i+1:])
	if err != nil {
		return errors.New("its signature is not base64")
	}
	sum := sha256.Sum256([]byte(token[:i]))
	if rsa.VerifyPKCS1v15(&p.key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return errors.New("it is not signed by this pool")
	}
	_, payload, _ := strings.Cut(token[:i], ".")
	raw, err := b64.DecodeString(payload)
	var c claims
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return errors.New("its claims are not JSON")
	}
	if late := at.Sub(time.Unix(c.Exp, 0)); late >= 0 {
		return errors.New("it expired " + late.Round(time.Millisecond).String() + " ago")
	}
	return nil
}
