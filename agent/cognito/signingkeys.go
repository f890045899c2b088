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
	keysLifetime      = 24 * time.Hour   // after which a set is fetched again
	keysRetryInterval = 30 * time.Second // at least, between fetches that tokens can cause
	maxKeySet         = 64 << 10         // bytes
	maxKeys           = 16               // a user pool has two
	minKeyBits        = 2048
)

// A keyCache keeps the signing keys of user pools by the URL of their JWK set.
// Nothing is fetched until a key is asked for.
//
// A key that is known is used for keysLifetime, and beyond it for as long as the
// set cannot be fetched. A key that is not known has the set fetched, once per
// keysPause: Cognito rotates keys without notice, and anybody can make a token with
// a random kid. Keys that were known stay until a fetch succeeds.
type keyCache struct {
	client *http.Client
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	sets map[string]*keySet
}

// keySet is what is known of one JWK set.
type keySet struct {
	url string

	// Guarded by the cache's mu.
	keys    map[string]*rsa.PublicKey
	fetched time.Time        // when keys were; zero before
	retried time.Time        // when a fetch last began that was not the first
	err     *awscall.Failure // of the last fetch; nil after a good one
	fetch   *keyFetch        // the fetch in hand, or nil
}

// keyFetch is one fetch, which any number of callers wait for.
type keyFetch struct{ done chan struct{} }

func newKeyCache(client *http.Client, log *slog.Logger, now func() time.Time) *keyCache {
	return &keyCache{client: client, log: log, now: now, sets: map[string]*keySet{}}
}

// find returns the key called kid of the set at url, or nil when the set has none.
// An error is a *awscall.Failure: the set could not be had.
func (c *keyCache) find(ctx context.Context, url, kid string) (*rsa.PublicKey, error) {
	fetch := c.fetchIfDue(url, kid)
	if fetch != nil {
		select {
		case <-fetch.done:
		case <-ctx.Done():
			return nil, &awscall.Failure{Call: awsCall(jwksCall, url), Text: "the signing keys of " + awscall.Host(url) + " did not come in time", Cause: ctx.Err()}
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

// fetchIfDue returns the fetch to wait for before kid is looked up, or nil when what is
// there will do.
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
	return s.fetch.unless(s.fresh(kid, c.now()))
}

func (f *keyFetch) unless(fresh bool) *keyFetch {
	if fresh {
		return nil
	}
	return f
}

// fresh reports whether kid is known and not old.
func (s *keySet) fresh(kid string, now time.Time) bool {
	age := now.Sub(s.fetched)
	return s.keys[kid] != nil && age >= 0 && age < keysLifetime
}

// due reports whether the set must be fetched before kid is looked up. The first
// fetch has no pause before or after it: else keys that were out of reach, or
// rotated in next, would be missed for the length of it.
func (s *keySet) due(kid string, now time.Time) bool {
	if s.fresh(kid, now) {
		return false
	}
	since := now.Sub(s.retried)
	return s.keys == nil || since < 0 || since >= keysRetryInterval
}

// startFetchLocked begins a fetch on its own time: a caller that gives up does not take
// the others' answer with it. The caller holds mu.
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
		f.Explain(ctx, time.Since(started), err)
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

// parseKeys reads a JWK set (RFC 7517). It keeps the keys that can have signed an
// ID token and leaves others alone, as the RFC asks: a new kind of key must not
// take the old ones with it.
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
