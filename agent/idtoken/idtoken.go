// Package idtoken verifies the ID tokens of a Cognito user pool. It makes no network calls:
// the caller provides the signing keys.
//
// There is one call: [Verify] takes the token as received, a [KeyFunc] that finds a signing
// key by its issuer and id, and an [Expect] that says whose token it must be:
//
//	claims, err := idtoken.Verify(raw, keys, idtoken.Expect{Issuers: issuers, Audience: clientID, Now: now})
//
// A token that passes has an RS256 signature by one of these keys and the expected claims.
// Any other is refused with an [*Error] that names the check, the expected value and the
// value found. No error contains the token.
//
// It uses go-jose and no OIDC library, because those fetch the keys themselves, with a retry
// and a cache of which the agent could not say how long a request waits, verify by this
// machine's clock and not by Cognito's, and ask for a discovery document, which a replica or
// an emulator of Cognito does not have at the issuer's address.
//
// The checks are those of Cognito's developer guide ("Verifying JSON web tokens"),
// and in addition those of `sub`, `iat` and the token's lifetime.
package idtoken

import (
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// MaxSize is the longest token that is accepted, in bytes. A user's groups and
// custom claims make tokens of several kB; servers refuse headers far below this.
const MaxSize = 64 << 10

// maxLifetime is the longest exp − iat that is accepted. Cognito's limit is 24 hours, but
// emulators allow more. The limit keeps durations far from overflow.
const maxLifetime = 366 * 24 * time.Hour

// A KeyFunc finds the public key of issuer, one of Expect.Issuers, whose id is kid. It returns
// (nil, nil) if there is no such key, and an error, which Verify wraps, if the keys are not
// available.
type KeyFunc func(issuer, kid string) (*rsa.PublicKey, error)

// Expect says whose token it must be.
type Expect struct {
	Issuers  []string // `iss`, exactly one of them
	Audience string   // `aud`, the app client's id; exactly one
	// Subject is the `sub` of the sign-in. If empty, as during the sign-in itself, any `sub`
	// that is not empty is accepted.
	Subject string
	// Nonce is the `nonce` that the sign-in sent; empty if it sent none.
	Nonce string
	// Now is the time by the issuer's clock, where that differs from this machine's.
	Now time.Time
	// Leeway is how far `iat` and `nbf` may lie in the future: those of Cognito sometimes
	// do, by a second. There is no leeway for `exp`: an expired token is useless.
	Leeway time.Duration
}

// Claims are the claims of a verified token that the agent uses.
type Claims struct {
	Subject  string
	Username string // `cognito:username`, the user's name in the pool
	IssuedAt time.Time
	Expiry   time.Time
}

// Lifetime returns the token's exp − iat.
func (c Claims) Lifetime() time.Duration { return c.Expiry.Sub(c.IssuedAt) }

// payload holds the claims of an ID token that are checked or used.
type payload struct {
	jwt.Claims
	TokenUse string `json:"token_use"`
	Username string `json:"cognito:username"`
	Nonce    string `json:"nonce"`
}

// Verify checks that raw is an ID token as expected, and returns its claims.
// Every error is an [*Error].
func Verify(raw string, keys KeyFunc, want Expect) (Claims, error) {
	token, kid, err := parse(raw)
	if err != nil {
		return Claims{}, err
	}
	issuer, err := claimedIssuer(token, want.Issuers)
	if err != nil {
		return Claims{}, err
	}
	key, err := keys(issuer, kid)
	switch {
	case err != nil:
		return Claims{}, &Error{Check: CheckKey, Got: quote(kid), Err: err}
	case key == nil:
		return Claims{}, refuse(CheckKey, "one of the issuer's signing keys", "kid %s", quote(kid))
	}
	var p payload
	if err := token.Claims(key, &p); errors.Is(err, jose.ErrCryptoFailure) {
		return Claims{}, refuse(CheckSignature, "one by key "+quote(kid), "another")
	} else if err != nil {
		return Claims{}, refuse(CheckFormat, "claims in JSON and no critical extension", "something else")
	}
	if err := p.checkClaims(want); err != nil {
		return Claims{}, err
	}
	return Claims{
		Subject:  p.Subject,
		Username: p.Username,
		IssuedAt: p.IssuedAt.Time(),
		Expiry:   p.Expiry.Time(),
	}, nil
}

// base64URL are the characters of each part of a token (RFC 7515, 2).
const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// parse splits a token into its parts. It allows RS256 only, and does not leave that to the
// type of the key: otherwise an HMAC with the public key as its secret would pass.
func parse(raw string) (*jwt.JSONWebToken, string, error) {
	if len(raw) > MaxSize {
		return nil, "", refuse(CheckFormat, "at most 64 KiB", "%d bytes", len(raw))
	}
	if strings.Trim(raw, base64URL+".") != "" { // go-jose drops white space
		return nil, "", refuse(CheckFormat, "letters, digits, '-', '_' and '.'", "other characters, too")
	}
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if alg, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, "", refuse(CheckAlgorithm, "RS256", "%s", quote(string(alg.Got)))
	}
	if err != nil || len(token.Headers) != 1 {
		return nil, "", refuse(CheckFormat, "a signed JWT of three parts", "something else, %d bytes", len(raw))
	}
	kid := token.Headers[0].KeyID
	if kid == "" {
		return nil, "", refuse(CheckKey, "one of the issuer's signing keys", "no kid")
	}
	return token, kid, nil
}

// claimedIssuer returns the issuer that a token names, before its signature is checked: the
// issuer decides which keys it is checked with, and an unknown one has none.
func claimedIssuer(token *jwt.JSONWebToken, issuers []string) (string, error) {
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return "", refuse(CheckFormat, "claims in JSON", "something else")
	}
	if claims.Issuer == "" || !slices.Contains(issuers, claims.Issuer) {
		return "", refuse(CheckIssuer, quoteEach(issuers), "%s", quote(claims.Issuer))
	}
	return claims.Issuer, nil
}

// checkClaims compares the claims of a token with a valid signature to want, but for the
// issuer: claimedIssuer has done that.
func (p *payload) checkClaims(want Expect) error {
	switch {
	case p.TokenUse != "id":
		return refuse(CheckUse, quote("id"), "%s", quote(p.TokenUse))
	case want.Audience == "" || len(p.Audience) != 1 || p.Audience[0] != want.Audience:
		return refuse(CheckAudience, quote(want.Audience), "%s", quote(p.Audience...))
	case p.Subject == "":
		return refuse(CheckSubject, "one", "none")
	case want.Subject != "" && p.Subject != want.Subject:
		return refuse(CheckSubject, quote(want.Subject), "%s", quote(p.Subject))
	case want.Nonce != "" && p.Nonce != want.Nonce:
		return refuse(CheckNonce, "that of this sign-in", "another, or none")
	}
	return p.checkTimes(want.Now, want.Leeway)
}

func (p *payload) checkTimes(now time.Time, leeway time.Duration) error {
	if p.Expiry == nil {
		return refuse(CheckExpiry, "a time", "none")
	}
	if p.IssuedAt == nil {
		return refuse(CheckIssuedAt, "a time", "none")
	}
	expiry, issued := p.Expiry.Time(), p.IssuedAt.Time()
	switch life := expiry.Sub(issued); {
	case life <= 0 || life > maxLifetime:
		return refuse(CheckLifetime, "exp after iat, by a year at most", "iat %s, exp %s", formatTime(issued), formatTime(expiry))
	case !expiry.After(now):
		return refuse(CheckExpiry, "after "+formatTime(now), "%s", formatTime(expiry))
	case issued.After(now.Add(leeway)):
		return refuse(CheckIssuedAt, "not after "+formatTime(now.Add(leeway)), "%s", formatTime(issued))
	case p.NotBefore != nil && p.NotBefore.Time().After(now.Add(leeway)):
		return refuse(CheckNotBefore, "not after "+formatTime(now.Add(leeway)), "%s", formatTime(p.NotBefore.Time()))
	}
	return nil
}
