package awstest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// claims holds the claims of an ID token that are checked.
type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Expiry   int64  `json:"exp"`
	Use      string `json:"token_use"`
}

var errExpired = errors.New("token expired")

// verify checks an ID token of the user pool.
func (s *Server) verify(token string) (claims, error) {
	var c claims
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(jws.Signatures) != 1 {
		return c, errors.New("not a JWT signed with RS256")
	}
	keys, err := s.keys()
	if err != nil {
		return c, err
	}
	for _, key := range keys.Key(jws.Signatures[0].Header.KeyID) {
		payload, err := jws.Verify(key)
		if err != nil || json.Unmarshal(payload, &c) != nil {
			continue
		}
		switch {
		case c.Issuer != s.pool.Issuer || c.Audience != s.pool.ClientID || c.Use != "id" || c.Subject == "":
			return c, errors.New("incorrect token audience or issuer")
		case !time.Now().Before(time.Unix(c.Expiry, 0)):
			return c, errExpired
		}
		return c, nil
	}
	return c, errors.New("couldn't verify signed token")
}

// keys fetches the user pool's signing keys.
func (s *Server) keys() (set jose.JSONWebKeySet, err error) {
	res, err := http.Get(s.pool.JWKS)
	if err != nil {
		return set, err
	}
	defer res.Body.Close()
	return set, json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(&set)
}
