package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
)

const (
	chainDigits = 8 // of a chain's name
	keyGroup    = 4 // characters of a first key that are written together
	keyDomain   = "kyc-agent audit key\x00"
	nameDomain  = "kyc-agent audit chain\x00"
)

// A macKey makes the MAC of one line. The key of the next line is its hash, so that a key does
// not tell those before it.
type macKey [sha256.Size]byte

func (k *macKey) mac(text []byte) []byte {
	h := hmac.New(sha256.New, k[:])
	h.Write(text)
	return h.Sum(nil)
}

// advance makes k the key of the next line.
func (k *macKey) advance() { *k = sha256.Sum256(append([]byte(keyDomain), k[:]...)) }

// A FirstKey is the key that a chain begins with.
type FirstKey struct{ key macKey }

func newFirstKey() FirstKey {
	var k FirstKey
	_, _ = rand.Read(k.key[:]) // never fails
	return k
}

// String returns the key as a person writes it down.
func (k FirstKey) String() string {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(k.key[:])
	var groups []string
	for ; len(text) > keyGroup; text = text[keyGroup:] {
		groups = append(groups, text[:keyGroup])
	}
	return strings.Join(append(groups, text), "-")
}

// ParseFirstKey reads what String wrote, also in lower case and without the dashes.
func ParseFirstKey(text string) (FirstKey, error) {
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune("- \t\r\n", r) {
			return -1
		}
		return r
	}, strings.ToUpper(text))
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(plain)
	var k FirstKey
	if err != nil || len(raw) != len(k.key) {
		return k, errors.New("that is not a first key: it has 52 letters and digits in groups of 4")
	}
	copy(k.key[:], raw)
	return k, nil
}

// chain returns the name of the chain that k begins.
func (k FirstKey) chain() string {
	sum := sha256.Sum256(append([]byte(nameDomain), k.key[:]...))
	return hex.EncodeToString(sum[:])[:chainDigits]
}

// first returns the key of the first line: k itself makes no MAC.
func (k FirstKey) first() *macKey {
	key := k.key
	key.advance()
	return &key
}

// newChain returns the name of a chain without a key.
func newChain() string {
	var b [chainDigits / 2]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
