package idtoken_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/legaltalent/kyc-agent/agent/idtoken"
)

const (
	issuer = "https://cognito-idp.us-east-2.amazonaws.com/us-east-2_oGu06xbPS"
	client = "2raj3isqgeivk0m4b94858hice"
	sub    = "9c1f0a52-3d40-4f5e-8a44-5f0e1c7b2d11"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

var signing = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
var stranger = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func keys(_, kid string) (*rsa.PublicKey, error) {
	if kid == "k1" {
		return &signing().PublicKey, nil
	}
	return nil, nil
}

func expect() idtoken.Expect {
	return idtoken.Expect{Issuers: []string{issuer}, Audience: client, Subject: sub, Now: now, Leeway: time.Minute}
}

// claims returns valid claims with changes: nil removes a claim.
func claims(changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": issuer, "aud": client, "sub": sub, "token_use": "id", "cognito:username": "ana",
		"iat": now.Unix() - 1, "exp": now.Unix() + 3599, "auth_time": now.Unix() - 1, "cognito:groups": []string{"ops"},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token signs c with RS256 and kid k1.
func token(t testing.TB, c map[string]any) string {
	t.Helper()
	return sign(t, jose.RS256, signing(), "k1", c)
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, c any) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	object := jws(t, alg, key, kid, payload)
	s, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func jws(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload []byte) *jose.JSONWebSignature {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		opts.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// byHand builds a token with the given header, always signed with RS256.
func byHand(t testing.TB, header, payload string) string {
	t.Helper()
	return signedByHand(t, signing(), header, payload)
}

func signedByHand(t testing.TB, key *rsa.PrivateKey, header, payload string) string {
	t.Helper()
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	h := crypto.SHA256.New()
	h.Write([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestVerify(t *testing.T) {
	got, err := idtoken.Verify(token(t, claims(nil)), keys, expect())
	if err != nil {
		t.Fatal(err)
	}
	want := idtoken.Claims{
		Subject: sub, Username: "ana",
		IssuedAt: now.Add(-time.Second), Expiry: now.Add(3599 * time.Second),
	}
	if got.Subject != want.Subject || got.Username != want.Username || !got.IssuedAt.Equal(want.IssuedAt) || !got.Expiry.Equal(want.Expiry) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.Lifetime() != time.Hour {
		t.Errorf("lifetime %v, want 1h", got.Lifetime())
	}
}

func TestVerifyTakes(t *testing.T) {
	for name, changes := range map[string]map[string]any{
		"a five-minute token":                  {"exp": now.Unix() + 299},
		"iat within the leeway":                {"iat": now.Unix() + 60},
		"exp one second away":                  {"exp": now.Unix() + 1},
		"nbf within the leeway":                {"nbf": now.Unix() + 60},
		"aud as a list of one":                 {"aud": []string{client}},
		"a fraction of a second":               {"iat": float64(now.Unix()) - 0.5},
		"no cognito:username":                  {"cognito:username": nil},
		"many groups (tokens of several kB)":   {"cognito:groups": strings.Fields(strings.Repeat("group-of-people ", 600))},
		"claims Cognito may add (acr, amr, …)": {"acr": "x", "amr": []string{"pwd"}, "custom:tenant": "7"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := idtoken.Verify(token(t, claims(changes)), keys, expect()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyTakesAnySubjectAtSignIn(t *testing.T) {
	want := expect()
	want.Subject = ""
	if _, err := idtoken.Verify(token(t, claims(map[string]any{"sub": "anyone"})), keys, want); err != nil {
		t.Error(err)
	}
}

func TestVerifyRefusesClaims(t *testing.T) {
	tests := []struct {
		name    string
		changes map[string]any
		check   idtoken.Check
		says    []string
	}{
		{"another pool", map[string]any{"iss": issuer + "x"}, idtoken.CheckIssuer, []string{issuer, issuer + "x"}},
		{"issuer with a slash", map[string]any{"iss": issuer + "/"}, idtoken.CheckIssuer, nil},
		{"no issuer", map[string]any{"iss": nil}, idtoken.CheckIssuer, nil},
		{"another client", map[string]any{"aud": "someone"}, idtoken.CheckAudience, []string{client, "someone"}},
		{"two audiences", map[string]any{"aud": []string{client, "someone"}}, idtoken.CheckAudience, nil},
		{"no audience", map[string]any{"aud": nil}, idtoken.CheckAudience, []string{"found none"}},
		{"empty audience", map[string]any{"aud": []string{}}, idtoken.CheckAudience, nil},
		{"an access token", map[string]any{"token_use": "access"}, idtoken.CheckUse, []string{`"id"`, `"access"`}},
		{"no token_use", map[string]any{"token_use": nil}, idtoken.CheckUse, nil},
		{"Token_Use", map[string]any{"token_use": nil, "Token_Use": "id"}, idtoken.CheckUse, nil},
		{"another user", map[string]any{"sub": "someone"}, idtoken.CheckSubject, []string{sub, "someone"}},
		{"no sub", map[string]any{"sub": nil}, idtoken.CheckSubject, nil},
		{"expired", map[string]any{"iat": now.Unix() - 3601, "exp": now.Unix() - 1}, idtoken.CheckExpiry, []string{"2026-03-04T05:06:07Z", "2026-03-04T05:06:06Z"}},
		{"expires now", map[string]any{"exp": now.Unix()}, idtoken.CheckExpiry, nil},
		{"no exp", map[string]any{"exp": nil}, idtoken.CheckExpiry, nil},
		{"from the future", map[string]any{"iat": now.Unix() + 61}, idtoken.CheckIssuedAt, []string{"2026-03-04T05:07:08Z"}},
		{"no iat", map[string]any{"iat": nil}, idtoken.CheckIssuedAt, nil},
		{"not valid yet", map[string]any{"nbf": now.Unix() + 61}, idtoken.CheckNotBefore, nil},
		{"exp before iat", map[string]any{"iat": now.Unix() + 30, "exp": now.Unix() + 20}, idtoken.CheckLifetime, nil},
		{"no life", map[string]any{"iat": now.Unix() + 30, "exp": now.Unix() + 30}, idtoken.CheckLifetime, nil},
		{"a life of centuries", map[string]any{"exp": now.Unix() + 1<<34}, idtoken.CheckLifetime, nil},
		{"a life that overflows", map[string]any{"iat": -(int64(1) << 61), "exp": int64(1) << 61}, idtoken.CheckLifetime, nil},
		{"exp as text", map[string]any{"exp": "soon"}, idtoken.CheckFormat, nil},
		{"sub as a number", map[string]any{"sub": 7}, idtoken.CheckFormat, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			refused(t, token(t, claims(test.changes)), test.check, test.says...)
		})
	}
}

func TestVerifyRefusesForms(t *testing.T) {
	good := token(t, claims(nil))
	payload, _ := json.Marshal(claims(nil))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: mustDER(t)})
	elliptic := ecKey(t)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k1"}`))
	tests := []struct {
		name, raw string
		check     idtoken.Check
		says      []string
	}{
		{"empty", "", idtoken.CheckFormat, nil},
		{"words", "not a token", idtoken.CheckFormat, nil},
		{"two parts", parts[0] + "." + parts[1], idtoken.CheckFormat, nil},
		{"five parts (a refresh token)", good + ".a.b", idtoken.CheckFormat, nil},
		{"not base64", "!." + parts[1] + "." + parts[2], idtoken.CheckFormat, nil},
		{"above 64 KiB", good + strings.Repeat("A", idtoken.MaxSize), idtoken.CheckFormat, []string{"64 KiB"}},
		{"alg none", none + "." + parts[1] + ".", idtoken.CheckAlgorithm, []string{"RS256", `"none"`}},
		{"alg none with a signature", none + "." + parts[1] + "." + parts[2], idtoken.CheckAlgorithm, nil},
		{"no alg", byHand(t, `{"kid":"k1"}`, string(payload)), idtoken.CheckAlgorithm, nil},
		{"HS256 by the public key's PEM", sign(t, jose.HS256, public, "k1", claims(nil)), idtoken.CheckAlgorithm, []string{`"HS256"`}},
		{"HS256 by the public key's DER", sign(t, jose.HS256, mustDER(t), "k1", claims(nil)), idtoken.CheckAlgorithm, nil},
		{"ES256", sign(t, jose.ES256, elliptic, "k1", claims(nil)), idtoken.CheckAlgorithm, []string{`"ES256"`}},
		{"RS512", sign(t, jose.RS512, signing(), "k1", claims(nil)), idtoken.CheckAlgorithm, nil},
		{"PS256", sign(t, jose.PS256, signing(), "k1", claims(nil)), idtoken.CheckAlgorithm, nil},
		{"no kid", sign(t, jose.RS256, signing(), "", claims(nil)), idtoken.CheckKey, []string{"no kid"}},
		{"wrong kid", sign(t, jose.RS256, signing(), "k2", claims(nil)), idtoken.CheckKey, []string{`kid "k2"`}},
		{"another key under our kid", sign(t, jose.RS256, stranger(), "k1", claims(nil)), idtoken.CheckSignature, nil},
		{"its own key in the header", ownKey(t, payload), idtoken.CheckSignature, nil},
		{"changed claims", parts[0] + "." + strings.Split(token(t, claims(map[string]any{"sub": "other"})), ".")[1] + "." + parts[2], idtoken.CheckSignature, nil},
		{"no signature", parts[0] + "." + parts[1] + ".", idtoken.CheckSignature, nil},
		{"JSON serialisation", jws(t, jose.RS256, signing(), "k1", payload).FullSerialize(), idtoken.CheckFormat, nil},
		{"two signatures", twoSignatures(t, payload), idtoken.CheckFormat, nil},
		{"an unknown critical header", byHand(t, `{"alg":"RS256","kid":"k1","crit":["x"],"x":1}`, string(payload)), idtoken.CheckFormat, nil},
		{"a header that is not applied to the payload", byHand(t, `{"alg":"RS256","kid":"k1","b64":false,"crit":["b64"]}`, string(payload)), idtoken.CheckSignature, nil},
		{"claims 20,000 deep", byHand(t, `{"alg":"RS256","kid":"k1"}`, strings.Replace(string(payload), "{", `{"x":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+",", 1)), idtoken.CheckFormat, nil},
		{"a kid that is a path", byHand(t, `{"alg":"RS256","kid":"../k1"}`, string(payload)), idtoken.CheckKey, nil},
		{"a kid with a zero byte", byHand(t, `{"alg":"RS256","kid":"k1\u0000"}`, string(payload)), idtoken.CheckKey, nil},
		{"a kid in capitals", byHand(t, `{"alg":"RS256","kid":"K1"}`, string(payload)), idtoken.CheckKey, nil},
		{"a kid that is a number", byHand(t, `{"alg":"RS256","kid":1}`, string(payload)), idtoken.CheckFormat, nil},
		{"a kid that is a list", byHand(t, `{"alg":"RS256","kid":["k1"]}`, string(payload)), idtoken.CheckFormat, nil},
		{"alg in small letters", byHand(t, `{"alg":"rs256","kid":"k1"}`, string(payload)), idtoken.CheckAlgorithm, nil},
		{"RS384", sign(t, jose.RS384, signing(), "k1", claims(nil)), idtoken.CheckAlgorithm, nil},
		{"the address of another key set", signedByHand(t, stranger(), `{"alg":"RS256","kid":"k1","jku":"https://evil.example/jwks.json"}`, string(payload)), idtoken.CheckSignature, nil},
		{"the address of a certificate", signedByHand(t, stranger(), `{"alg":"RS256","kid":"k1","x5u":"https://evil.example/cert.pem"}`, string(payload)), idtoken.CheckSignature, nil},
		{"claims that are no JSON", byHand(t, `{"alg":"RS256","kid":"k1"}`, "hello"), idtoken.CheckFormat, nil},
		{"claims that are a list", byHand(t, `{"alg":"RS256","kid":"k1"}`, "[]"), idtoken.CheckFormat, nil},
		{"a claim twice", byHand(t, `{"alg":"RS256","kid":"k1"}`, strings.Replace(string(payload), "{", `{"sub":"other",`, 1)), idtoken.CheckFormat, nil},
		{"a header field twice", byHand(t, `{"alg":"RS256","kid":"k2","kid":"k1"}`, string(payload)), idtoken.CheckFormat, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { refused(t, test.raw, test.check, test.says...) })
	}
}

// A token with anything in it that is no part of one is refused, wherever it stands, also what
// a decoder of base64 skips: the token goes into a header as it is.
func TestVerifyRefusesOtherCharacters(t *testing.T) {
	good := token(t, claims(nil))
	first := strings.Index(good, ".")
	for _, odd := range []string{" ", "\t", "\n", "\r\n", "\v", "\f", "\x00", "\u0085", "\u00a0", "\u2028", "\u3000", "\ufeff", "=", "+", "/", "%20", ",", ";"} {
		for _, at := range []int{0, 1, first, first + 1, len(good) - 1, len(good)} {
			refused(t, good[:at]+odd+good[at:], idtoken.CheckFormat)
		}
	}
}

// An empty expectation must not match an empty claim.
func TestVerifyRefusesEmptyExpectation(t *testing.T) {
	want := idtoken.Expect{Now: now}
	_, err := idtoken.Verify(token(t, claims(map[string]any{"iss": nil})), keys, want)
	if !errors.Is(err, idtoken.CheckIssuer) {
		t.Errorf("got %v, want it refused for iss", err)
	}
	want.Issuers = []string{""}
	if _, err = idtoken.Verify(token(t, claims(map[string]any{"iss": nil})), keys, want); !errors.Is(err, idtoken.CheckIssuer) {
		t.Errorf("got %v, want it refused for iss", err)
	}
	want.Issuers = []string{issuer}
	_, err = idtoken.Verify(token(t, claims(map[string]any{"aud": ""})), keys, want)
	if !errors.Is(err, idtoken.CheckAudience) {
		t.Errorf("got %v, want it refused for aud", err)
	}
}

// The issuer of the token decides whose keys are asked for. A token of a foreign issuer causes
// no lookup: anybody can make one.
func TestVerifyAsksForTheIssuersKeys(t *testing.T) {
	const updated = "https://issuer-cognito-idp.us-east-2.amazonaws.com/us-east-2_oGu06xbPS"
	want := expect()
	want.Issuers = []string{issuer, updated}
	var asked []string
	find := func(iss, kid string) (*rsa.PublicKey, error) {
		asked = append(asked, iss)
		return keys(iss, kid)
	}
	for _, iss := range []string{updated, issuer} {
		if _, err := idtoken.Verify(token(t, claims(map[string]any{"iss": iss})), find, want); err != nil {
			t.Error(err)
		}
	}
	_, err := idtoken.Verify(token(t, claims(map[string]any{"iss": "https://evil.example/"})), find, want)
	if !errors.Is(err, idtoken.CheckIssuer) || !strings.Contains(err.Error(), `"`+issuer+`" or "`+updated+`", found "https://evil.example/"`) {
		t.Error(err)
	}
	if !slices.Equal(asked, []string{updated, issuer}) {
		t.Errorf("asked for the keys of %q", asked)
	}
}

// The caller recognizes unavailable keys by its own error.
func TestVerifyKeepsTheKeyFuncsError(t *testing.T) {
	down := errors.New("JWKS down")
	_, err := idtoken.Verify(token(t, claims(nil)), func(string, string) (*rsa.PublicKey, error) { return nil, down }, expect())
	if !errors.Is(err, down) || !errors.Is(err, idtoken.CheckKey) {
		t.Errorf("got %v, want kid and the KeyFunc's error", err)
	}
	if want := `kid: key "k1" could not be looked up: JWKS down`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestErrorQuotesWhatTheTokenSays(t *testing.T) {
	_, err := idtoken.Verify(token(t, claims(map[string]any{"iss": "\x1b[2J\n" + strings.Repeat("x", 5000)})), keys, expect())
	if s := err.Error(); strings.ContainsAny(s, "\x1b\n") || len(s) > 400 {
		t.Errorf("an issuer's text got out raw: %d bytes, %q", len(s), s)
	}
}

// refused fails unless raw is refused for check, by an error that says what it must and not the token.
func refused(t *testing.T, raw string, check idtoken.Check, says ...string) {
	t.Helper()
	got, err := idtoken.Verify(raw, keys, expect())
	e, ok := errors.AsType[*idtoken.Error](err)
	if !ok {
		t.Fatalf("got %+v, %v; want an *idtoken.Error for %s", got, err, check)
	}
	if e.Check != check || !errors.Is(err, check) {
		t.Errorf("refused for %s, want %s: %v", e.Check, check, err)
	}
	if got != (idtoken.Claims{}) {
		t.Errorf("claims of a refused token: %+v", got)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	for part := range strings.SplitSeq(raw, ".") {
		if len(part) > 16 && strings.Contains(fmt.Sprintf("%v %+v", err, e), part) {
			t.Errorf("the token is in its error: %v", err)
		}
	}
}

func mustDER(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&signing().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ownKey is signed by an attacker, who put his public key into the header under the right kid.
func ownKey(t *testing.T, payload []byte) string {
	t.Helper()
	key := jose.JSONWebKey{Key: stranger(), KeyID: "k1"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	s, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func twoSignatures(t *testing.T, payload []byte) string {
	t.Helper()
	signer, err := jose.NewMultiSigner([]jose.SigningKey{
		{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: signing(), KeyID: "k1"}},
		{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: stranger(), KeyID: "k1"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	return object.FullSerialize()
}

// Any input leads to an *Error or to the claims that were signed, and to no panic.
func FuzzVerify(f *testing.F) {
	good := token(f, claims(nil))
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add("")
	f.Add("a.b.c")
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(parts[0] + ".." + parts[2])
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".")
	f.Add(token(f, claims(map[string]any{"exp": 1e300})))
	f.Add(sign(f, jose.RS256, stranger(), "k1", claims(nil)))
	f.Add(jws(f, jose.RS256, signing(), "k1", []byte("{}")).FullSerialize())
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := idtoken.Verify(raw, keys, expect())
		if err == nil {
			if got.Subject != sub || got.Username != "ana" || got.Lifetime() != time.Hour {
				t.Fatalf("accepted what was never signed: %+v", got)
			}
			if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Fatalf("accepted %q", raw)
			}
			return
		}
		if _, ok := errors.AsType[*idtoken.Error](err); !ok {
			t.Fatalf("%T is no *idtoken.Error: %v", err, err)
		}
		if s := err.Error(); len(s) > 600 || bytes.ContainsAny([]byte(s), "\n\x1b") {
			t.Fatalf("not one short line: %q", s)
		}
	})
}
