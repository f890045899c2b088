// Package seal encrypts and authenticates what the agents of a fleet share, with the age
// identities that all of them have.
//
// New returns a [shared.Sealer]. age encrypts to a public key, so that anybody who has that
// could write a record; therefore a MAC with a key that is derived from the identity says that
// the writer has the identity itself.
package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/store/shared"
)

// A Sealer seals with the first of its identities and opens with any of them, so that a fleet
// can change its identity one machine after the other.
type Sealer struct {
	recipient  age.Recipient
	identities []age.Identity
	macKeys    [][]byte
}

var _ shared.Sealer = (*Sealer)(nil)

// ErrNoIdentity means that there is no identity with which a Sealer can be made.
var ErrNoIdentity = errors.New("the fleet's key must be an identity of `kyc-agentd keygen`")

// New returns a Sealer. It takes the kinds of identities that age-keygen and `kyc-agentd
// keygen` make.
func New(identities ...age.Identity) (*Sealer, error) {
	s := &Sealer{identities: identities}
	for i, id := range identities {
		var recipient age.Recipient
		switch id := id.(type) {
		case *age.X25519Identity:
			recipient = id.Recipient()
		case *age.HybridIdentity:
			recipient = id.Recipient()
		default:
			return nil, ErrNoIdentity
		}
		key, err := hkdf.Key(sha256.New, fmt.Append(nil, id), nil, "kyc-agent fleet mac 1", sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("derive a key: %w", err)
		}
		if s.macKeys = append(s.macKeys, key); i == 0 {
			s.recipient = recipient
		}
	}
	if s.recipient == nil {
		return nil, ErrNoIdentity
	}
	return s, nil
}

// Seal implements [shared.Sealer].
func (s *Sealer) Seal(context string, plain []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, s.recipient)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return append(mac(s.macKeys[0], context, sealed.Bytes()), sealed.Bytes()...), nil
}

// Open implements [shared.Sealer].
func (s *Sealer) Open(context string, sealed []byte) ([]byte, error) {
	if len(sealed) < sha256.Size || !s.authentic(context, sealed) {
		return nil, shared.ErrForeign
	}
	r, err := age.Decrypt(bytes.NewReader(sealed[sha256.Size:]), s.identities...)
	if err != nil {
		return nil, shared.ErrForeign // age's text may say more than it should
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, shared.ErrForeign
	}
	return plain, nil
}

func (s *Sealer) authentic(context string, sealed []byte) bool {
	for _, key := range s.macKeys {
		if hmac.Equal(sealed[:sha256.Size], mac(key, context, sealed[sha256.Size:])) {
			return true
		}
	}
	return false
}

// mac authenticates the ciphertext and its context; the length keeps the two apart.
func mac(key []byte, context string, ciphertext []byte) []byte {
	h := hmac.New(sha256.New, key)
	_ = binary.Write(h, binary.BigEndian, uint64(len(context)))
	_, _ = io.WriteString(h, context)
	_, _ = h.Write(ciphertext)
	return h.Sum(nil)
}
