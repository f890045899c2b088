package cognito

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

const keysURL = "https://cognito.example/pool/.well-known/jwks.json"

// A jwksServer publishes its keys to a keyCache, unless it is down.
type jwksServer struct {
	mu      sync.Mutex
	body    []byte
	status  int
	err     error
	latency time.Duration
	fetches int
}

func (s *jwksServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.fetches++
	body, status, err, latency := s.body, s.status, s.err, s.latency
	s.mu.Unlock()
	select {
	case <-time.After(latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func (s *jwksServer) publish(keys ...jose.JSONWebKey) {
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		panic(err)
	}
	s.answer(http.StatusOK, body, nil)
}

func (s *jwksServer) answer(status int, body []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.status, s.err = body, status, err
}

func (s *jwksServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

func (s *jwksServer) cache() *keyCache {
	return newKeyCache(awscall.Client(&http.Client{Transport: s}), slog.New(slog.DiscardHandler), awscall.WallClock(nil))
}

var testKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 2)
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func signingKey(kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &testKeys()[0].PublicKey, KeyID: kid, Use: "sig", Algorithm: "RS256"}
}

// want fails unless the lookup of kid has the expected result.
func want(t *testing.T, c *keyCache, kid, what string) {
	t.Helper()
	key, err := c.find(t.Context(), keysURL, kid)
	got := "none"
	switch _, ok := errors.AsType[*awscall.Failure](err); {
	case err != nil && ok:
		got = "failure"
	case err != nil:
		got = err.Error()
	case key != nil:
		got = "key"
	}
	if got != what {
		t.Errorf("%s: %s (%v), want %s", kid, got, err, what)
	}
}

func wantFetches(t *testing.T, s *jwksServer, n int) {
	t.Helper()
	if got := s.count(); got != n {
		t.Errorf("%d fetches, want %d", got, n)
	}
}

func TestKeysAreFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &jwksServer{latency: time.Second}
		s.publish(signingKey("a"), signingKey("b"))
		c := s.cache()
		wantFetches(t, s, 0) // lazy
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { want(t, c, "a", "key") })
		}
		wg.Wait()
		want(t, c, "b", "key")
		wantFetches(t, s, 1)
	})
}

func TestKeysAreFetchedDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &jwksServer{}
		s.publish(signingKey("a"))
		c := s.cache()
		want(t, c, "a", "key")
		time.Sleep(24*time.Hour - time.Second)
		want(t, c, "a", "key")
		wantFetches(t, s, 1)
		time.Sleep(time.Second)
		want(t, c, "a", "key")
		wantFetches(t, s, 2)
		// A withdrawn key is trusted for a day at most.
		s.publish(signingKey("b"))
		time.Sleep(24 * time.Hour)
		want(t, c, "a", "none")
		want(t, c, "b", "key")
	})
}

func TestOldKeysServeWhileTheSetIsDown(t *testing.T) {
	for name, trouble := range map[string]struct {
		status int
		body   string
		err    error
	}{
		"down":     {err: io.EOF},
		"500":      {status: 500, body: "x"},
		"404":      {status: 404, body: `{"keys":[]}`},
		"not JSON": {status: 200, body: "<h1>Welcome</h1>"},
		"empty":    {status: 200, body: `{"keys":[]}`},
		"redirect": {status: 302, body: ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &jwksServer{}
				s.publish(signingKey("a"))
				c := s.cache()
				want(t, c, "a", "key")
				s.answer(trouble.status, []byte(trouble.body), trouble.err)
				time.Sleep(72 * time.Hour)
				for range 10 {
					want(t, c, "a", "key")
				}
				wantFetches(t, s, 2) // one try, and then not within 30 s
				want(t, c, "b", "failure")
				wantFetches(t, s, 2)
				time.Sleep(30 * time.Second)
				want(t, c, "b", "failure")
				wantFetches(t, s, 3)
				want(t, c, "a", "key")
				s.publish(signingKey("b"))
				time.Sleep(30 * time.Second)
				want(t, c, "b", "key")
				want(t, c, "a", "none")
			})
		})
	}
}

// Tokens with invented key ids do not cause many fetches, and a real new key is found at once, also
// just after the first fetch.
func TestUnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &jwksServer{}
		s.publish(signingKey("a"))
		c := s.cache()
		want(t, c, "a", "key")
		s.publish(signingKey("a"), signingKey("b"))
		want(t, c, "b", "key")
		wantFetches(t, s, 2)
		for range 100 {
			want(t, c, "made-up", "none")
		}
		wantFetches(t, s, 2)
		time.Sleep(29 * time.Second)
		want(t, c, "made-up", "none")
		wantFetches(t, s, 2)
		time.Sleep(time.Second)
		want(t, c, "made-up", "none")
		wantFetches(t, s, 3)
		want(t, c, "a", "key")
		wantFetches(t, s, 3)
	})
}

// If nothing was fetched yet there is no minimum interval, because the keys are needed.
func TestFirstFetchIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &jwksServer{}
		s.answer(0, nil, io.EOF)
		c := s.cache()
		for range 3 {
			want(t, c, "a", "failure")
		}
		wantFetches(t, s, 3)
		s.publish(signingKey("a"))
		want(t, c, "a", "key")
		// The failed fetches must not delay the fetch of a key that is new now.
		s.publish(signingKey("b"))
		want(t, c, "b", "key")
	})
}

func TestClockJumpsDoNotStopFetches(t *testing.T) {
	s := &jwksServer{}
	s.publish(signingKey("a"))
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newKeyCache(awscall.Client(&http.Client{Transport: s}), slog.New(slog.DiscardHandler), func() time.Time { return now })
	want(t, c, "a", "key")
	want(t, c, "b", "none")
	now = now.AddDate(-4, 0, 0) // it was wrong until now
	s.publish(signingKey("a"), signingKey("b"))
	want(t, c, "b", "key")
}

func TestHangingFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &jwksServer{latency: time.Hour}
		s.publish(signingKey("a"))
		c := s.cache()
		began := time.Now()
		_, err := c.find(t.Context(), keysURL, "a")
		if f, ok := errors.AsType[*awscall.Failure](err); !ok || f.Text != "no answer from cognito.example within 10 s" || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		// A caller that gives up does not end the fetch for the others.
		s.mu.Lock()
		s.latency = 5 * time.Second
		s.mu.Unlock()
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := c.find(ctx, keysURL, "a"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("gave up with %v", err)
			}
		})
		wg.Go(func() { want(t, c, "a", "key") })
		wg.Wait()
		wantFetches(t, s, 2)
	})
}

// A fresh key is returned from memory, even while another key is being fetched.
func TestKnownKeysDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &jwksServer{}
		s.publish(signingKey("a"))
		c := s.cache()
		want(t, c, "a", "key")
		s.mu.Lock()
		s.latency = 5 * time.Second
		s.mu.Unlock()
		var wg sync.WaitGroup
		wg.Go(func() { want(t, c, "b", "none") })
		synctest.Wait()
		began := time.Now()
		want(t, c, "a", "key")
		if d := time.Since(began); d != 0 {
			t.Errorf("waited %v", d)
		}
		wg.Wait()
	})
}

func TestParseKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	with := func(edit func(*jose.JSONWebKey)) jose.JSONWebKey {
		key := signingKey("x")
		edit(&key)
		return key
	}
	bad := map[string]jose.JSONWebKey{
		"elliptic":    {Key: &ec.PublicKey, KeyID: "x", Use: "sig", Algorithm: "ES256"},
		"symmetric":   {Key: []byte("0123456789abcdef"), KeyID: "x", Use: "sig", Algorithm: "HS256"},
		"private":     {Key: testKeys()[1], KeyID: "x", Use: "sig", Algorithm: "RS256"},
		"1024 bits":   {Key: &weak.PublicKey, KeyID: "x", Use: "sig", Algorithm: "RS256"},
		"encryption":  with(func(k *jose.JSONWebKey) { k.Use = "enc" }),
		"no use":      with(func(k *jose.JSONWebKey) { k.Use = "" }),
		"no kid":      with(func(k *jose.JSONWebKey) { k.KeyID = "" }),
		"another alg": with(func(k *jose.JSONWebKey) { k.Algorithm = "RS512" }),
		"exponent 1":  with(func(k *jose.JSONWebKey) { k.Key = &rsa.PublicKey{N: testKeys()[0].N, E: 1} }),
		"exponent 2":  with(func(k *jose.JSONWebKey) { k.Key = &rsa.PublicKey{N: testKeys()[0].N, E: 2} }),
		"320,000 bits": with(func(k *jose.JSONWebKey) {
			k.Key = &rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 320_000), big.NewInt(1)), E: 65537}
		}),
		"even exponent": with(func(k *jose.JSONWebKey) {
			k.Key = &rsa.PublicKey{N: testKeys()[0].N, E: 4}
		}),
	}
	for name, key := range bad {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
			if err != nil {
				t.Fatal(err)
			}
			if keys, problem := parseKeys(body); problem == "" {
				t.Errorf("took %v", keys)
			}
			body, err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key, signingKey("good")}})
			if err != nil {
				t.Fatal(err)
			}
			if keys, problem := parseKeys(body); problem != "" || len(keys) != 1 || keys["good"] == nil {
				t.Errorf("beside it, a good one: %v, %s", keys, problem)
			}
		})
	}

	noAlg, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{with(func(k *jose.JSONWebKey) { k.Algorithm = "" })}})
	if keys, problem := parseKeys(noAlg); len(keys) != 1 {
		t.Errorf("a key without alg, which RFC 7517 allows: %s", problem)
	}

	many := make([]jose.JSONWebKey, maxKeys+1)
	for i := range many {
		many[i] = signingKey(strings.Repeat("k", i+1))
	}
	most, _ := json.Marshal(jose.JSONWebKeySet{Keys: many[:maxKeys]})
	if keys, problem := parseKeys(most); len(keys) != maxKeys {
		t.Errorf("%d keys: %d, %s", maxKeys, len(keys), problem)
	}
	tooMany, _ := json.Marshal(jose.JSONWebKeySet{Keys: many})
	for name, body := range map[string]string{
		"empty": "", "a list": "[]", "words": "hello", "keys that is no list": `{"keys":{}}`, "null": "null",
		"a modulus of 0":           `{"keys":[{"kty":"RSA","n":"AA","e":"AQAB","kid":"x","use":"sig","alg":"RS256"}]}`,
		"no modulus":               `{"keys":[{"kty":"RSA","n":"","e":"AQAB","kid":"x","use":"sig","alg":"RS256"}]}`,
		"an exponent of 2,000 bit": `{"keys":[{"kty":"RSA","n":"AQAB","e":"` + strings.Repeat("A", 300) + `B","kid":"x","use":"sig","alg":"RS256"}]}`,
		"a certificate alone":      `{"keys":[{"kty":"RSA","x5c":["MIIB"],"x5u":"https://evil.example/","kid":"x","use":"sig","alg":"RS256"}]}`,
		"10,000 keys":              `{"keys":[` + strings.Repeat("{},", 9_999) + `{}]}`,
		"10,000 deep":              strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		"deep in a key":            `{"keys":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
		"17 keys":                  string(tooMany), "64 KiB": string(noAlg) + strings.Repeat(" ", maxKeySet),
	} {
		if keys, problem := parseKeys([]byte(body)); problem == "" {
			t.Errorf("%s: took %v", name, keys)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	good, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{signingKey("a")}})
	f.Add(good)
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":"","kid":"x","use":"sig"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"},null,7,{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, problem := parseKeys(body)
		if (problem == "") != (len(keys) > 0) {
			t.Fatalf("%d keys and %q", len(keys), problem)
		}
		for kid, key := range keys {
			if kid == "" || key.N.BitLen() < minKeyBits || key.E < 3 {
				t.Fatalf("took %q, %d bits", kid, key.N.BitLen())
			}
		}
	})
}
