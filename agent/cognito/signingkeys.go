package cognito

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

const (
	keysTimeout       = 10 * time.Second // one fetch of a JWK set
	keysLifetime      = 24 * time.Hour   // after this, a set is fetched again
	keysRetryInterval = 30 * time.Second // at least, between fetches that tokens can cause
	maxKeySet         = 64 << 10         // bytes
	maxKeys           = 16               // a user pool has two
	minKeyBits        = 2048
)

// A keyCache caches the signing keys of user pools, by the URL of their JWK set. Nothing is
// fetched until a key is needed.
//
// An OIDC library would have such a cache. Those known fetch at every unknown kid or by a
// timer, and have no limit for the size of a set; package idtoken says why else there is none.
//
// A known key is used for keysLifetime, and longer if the set cannot be fetched. For an unknown
// key the set is fetched, at most once per keysRetryInterval: Cognito rotates keys without
// notice, but anybody can make a token with a random kid. Known keys stay until a fetch
// succeeds.
type keyCache struct {
	client *http.Client
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	sets map[string]*keySet
}

// A keySet is a cached JWK set.
type keySet struct {
	url string

	// Guarded by the cache's mu.
	keys    map[string]*rsa.PublicKey
	fetched time.Time        // when keys were; zero before
	retried time.Time        // when a fetch last began that was not the first
	err     *awscall.Failure // of the last fetch; nil after a good one
	fetch   *keyFetch        // the fetch in progress, or nil
}

// A keyFetch is a fetch in progress, for which any number of callers can wait.
type keyFetch struct{ done chan struct{} }

func newKeyCache(client *http.Client, log *slog.Logger, now func() time.Time) *keyCache {
	return &keyCache{client: client, log: log, now: now, sets: map[string]*keySet{}}
}

// find returns the key with the id kid in the set at url, or nil if there is none. An error is
// a *awscall.Failure and means that the set is not available.
func (c *keyCache) find(ctx context.Context, url, kid string) (*rsa.PublicKey, error) {
	fetch := c.fetchIfDue(url, kid)
	if fetch != nil {
		select {
		case <-fetch.done:
		case <-ctx.Done():
			return nil, &awscall.Failure{
				Call: awsCall(jwksCall, url), Cause: ctx.Err(),
				Text: "the signing keys of " + awscall.Host(url) + " did not arrive in time",
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sets[url]
	if key := s.keys[kid]; key != nil {
		return key, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	return nil, nil
}

// fetchIfDue starts a fetch if one is due before kid can be looked up. It returns the fetch to
// wait for, or nil if the cached key can be used.
func (c *keyCache) fetchIfDue(url, kid string) *keyFetch {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sets[url]
	if s == nil {
		s = &keySet{url: url}
		c.sets[url] = s
	}
	if s.fetch == nil && s.due(kid, c.now()) {
		c.startFetchLocked(s)
	}
	if s.fresh(kid, c.now()) {
		return nil
	}
	return s.fetch
}

// fresh reports whether kid is known and was fetched within keysLifetime.
func (s *keySet) fresh(kid string, now time.Time) bool {
	age := now.Sub(s.fetched)
	return s.keys[kid] != nil && age >= 0 && age < keysLifetime
}

// due reports whether the set must be fetched before kid is looked up. There is no minimum
// interval before or after the first fetch: otherwise keys that were unreachable at first, or
// rotated soon after, would be missing for the length of the interval.
func (s *keySet) due(kid string, now time.Time) bool {
	if s.fresh(kid, now) {
		return false
	}
	since := now.Sub(s.retried)
	return s.keys == nil || since < 0 || since >= keysRetryInterval
}

// startFetchLocked begins a fetch that does not depend on the context of one caller: others may
// wait for it, too. The caller holds mu.
func (c *keyCache) startFetchLocked(s *keySet) {
	if s.keys != nil {
		s.retried = c.now()
	}
	f := &keyFetch{done: make(chan struct{})}
	s.fetch = f
	go func() {
		keys, err := c.fetch(context.Background(), s.url)
		c.storeResult(s, keys, err)
		close(f.done)
	}()
}

func (c *keyCache) storeResult(s *keySet, keys map[string]*rsa.PublicKey, err *awscall.Failure) {
	c.mu.Lock()
	s.fetch, s.err = nil, err
	if err == nil {
		s.keys, s.fetched = keys, c.now()
	}
	c.mu.Unlock()
	if err != nil {
		c.log.Warn("signing keys not fetched", "url", s.url, "error", err.Error())
		return
	}
	c.log.Debug("signing keys fetched", "url", s.url, "keys", len(keys))
}

const jwksCall = "JWKS"

// fetch gets a JWK set over the network.
func (c *keyCache) fetch(ctx context.Context, url string) (map[string]*rsa.PublicKey, *awscall.Failure) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	started := time.Now()
	f := &awscall.Failure{Call: awsCall(jwksCall, url)}
	body, err := c.download(ctx, url, f)
	if err != nil {
		f.Explain(ctx.Err(), time.Since(started), err)
		return nil, f
	}
	if f.Status != http.StatusOK {
		f.Text = fmt.Sprintf("%s answered HTTP %d when asked for its signing keys", f.Call.Host, f.Status)
		return nil, f
	}
	keys, problem := parseKeys(body)
	if problem != "" {
		f.Text = f.Call.Host + " sent signing keys that cannot be used: " + problem
		return nil, f
	}
	return keys, nil
}

func (c *keyCache) download(ctx context.Context, url string, f *awscall.Failure) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	f.Status = res.StatusCode
	return io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
}

// parseKeys reads a JWK set (RFC 7517). It returns the keys that can have signed an ID token
// and ignores others, as the RFC requires: a new kind of key must not make the set unusable.
func parseKeys(body []byte) (keys map[string]*rsa.PublicKey, problem string) {
	if len(body) > maxKeySet {
		return nil, "above 64 KiB"
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, "not a JWK set in JSON"
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Sprintf("%d of them, and %d is the most", len(set.Keys), maxKeys)
	}
	keys = map[string]*rsa.PublicKey{}
	for _, raw := range set.Keys {
		if id, key := parseKey(raw); key != nil && keys[id] == nil {
			keys[id] = key
		}
	}
	if len(keys) == 0 {
		return nil, "none is an RSA key for signatures (use=sig) of 2048 bits or more"
	}
	return keys, ""
}

func parseKey(raw []byte) (id string, key *rsa.PublicKey) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil {
		return "", nil
	}
	key, ok := jwk.Key.(*rsa.PublicKey)
	switch {
	case !ok || jwk.KeyID == "" || jwk.Use != "sig":
		return "", nil
	case jwk.Algorithm != "" && jwk.Algorithm != string(jose.RS256):
		return "", nil
	case key.N.BitLen() < minKeyBits || key.E < 3 || key.E%2 == 0:
		return "", nil
	}
	return jwk.KeyID, key
}
