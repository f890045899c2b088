package sharedtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"

	"github.com/legaltalent/kyc-agent/store/shared"
)

// A Sealer is one for the tests of what uses a fleet. The agents' own is in store/shared/seal;
// its modules are not for those who import this one.
type Sealer struct{ aead cipher.AEAD }

var _ shared.Sealer = Sealer{}

// NewSealer returns the sealer of a fleet whose key is made of this text.
func NewSealer(key string) Sealer {
	sum := sha256.Sum256([]byte(key))
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		panic(err) // a bug: the key has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // a bug: the block has 16 bytes
	}
	return Sealer{aead}
}

// Seal implements [shared.Sealer].
func (s Sealer) Seal(context string, plain []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plain, []byte(context)), nil
}

// Open implements [shared.Sealer].
func (s Sealer) Open(context string, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(context))
	if err != nil {
		return nil, fmt.Errorf("the value cannot be opened: %w", shared.ErrForeign)
	}
	return plain, nil
}
