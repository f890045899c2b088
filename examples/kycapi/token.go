package kycapi

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/legaltalent/kyc-agent/agent/idtoken"
)

var client = &http.Client{Timeout: 10 * time.Second}

// verify returns the user of the ID token raw.
func (p Pool) verify(ctx context.Context, raw string) (user string, err error) {
	keys := func(_, kid string) (*rsa.PublicKey, error) { return p.key(ctx, kid) }
	claims, err := idtoken.Verify(raw, keys, idtoken.Expect{
		Issuers: []string{p.Issuer}, Audience: p.ClientID, Now: time.Now(), Leeway: time.Minute,
	})
	return claims.Username, err
}

// key fetches the pool's signing keys for every call. A simulation can afford that, and
// does not have to handle a change of the keys.
func (p Pool) key(ctx context.Context, kid string) (*rsa.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.JWKSURL, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&set); err != nil {
		return nil, fmt.Errorf("%s: %s, no JWK set: %w", p.JWKSURL, res.Status, err)
	}
	for _, k := range set.Key(kid) {
		if key, ok := k.Key.(*rsa.PublicKey); ok {
			return key, nil
		}
	}
	return nil, nil
}
