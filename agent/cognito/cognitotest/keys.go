package cognitotest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"net/http"
	"sync"
)

// A keyPair holds the pool's two signing keys. Cognito has one for ID tokens and one for access
// tokens, and publishes both.
type keyPair struct{ id, access *signingKey }

type signingKey struct {
	kid     string
	private *rsa.PrivateKey
	foreign int // the number of the key that ForeignJWKS publishes instead
}

// Generating an RSA key is slow, so all servers of a process share their keys: the n-th key of one
// is the n-th key of all. Tokens of two pools only differ in their issuer.
var (
	sharedMu   sync.Mutex
	sharedKeys = map[int]*signingKey{}
)

func sharedKey(n int) *signingKey {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if k := sharedKeys[n]; k != nil {
		return k
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("cognitotest: " + err.Error())
	}
	sum := sha256.Sum256(private.N.Bytes())
	k := &signingKey{kid: base64.StdEncoding.EncodeToString(sum[:]), private: private, foreign: -1 - n%2}
	sharedKeys[n] = k
	return k
}

func (s *Server) addKeys() {
	s.keys = append(s.keys, keyPair{sharedKey(s.nextKey), sharedKey(s.nextKey + 1)})
	s.nextKey += 2
}

// RotateKeys adds new signing keys, which are used from now on. The old keys stay published until
// DropOldKeys.
func (s *Server) RotateKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addKeys()
}

// DropOldKeys stops publishing keys that are no longer used.
func (s *Server) DropOldKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[len(s.keys)-1:]
}

// signing returns the keys that are used now.
func (s *Server) signing() keyPair { return s.keys[len(s.keys)-1] }

type jwk struct {
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Kty string `json:"kty"`
	E   string `json:"e"`
	N   string `json:"n"`
	Use string `json:"use"`
}

func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	call := newCall(JWKS, r, nil)
	s.calls.record(s, call)
	s.answerWithFaults(w, r, call, func() (int, string, []byte) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return http.StatusOK, "", mustJSON(map[string][]jwk{"keys": s.published()})
	})
}

func (s *Server) published() []jwk {
	var set []jwk
	for _, pair := range s.keys {
		for _, k := range []*signingKey{pair.id, pair.access} {
			set = append(set, s.publish(k))
		}
	}
	return set
}

func (s *Server) publish(k *signingKey) jwk {
	public := k.private.PublicKey
	if s.set.foreignJWKS {
		public = sharedKey(k.foreign).private.PublicKey
	}
	b64 := base64.RawURLEncoding.EncodeToString
	e := big.NewInt(int64(public.E)).Bytes()
	return jwk{Kid: k.kid, Alg: "RS256", Kty: "RSA", E: b64(e), N: b64(public.N.Bytes()), Use: "sig"}
}
