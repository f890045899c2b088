// Package srp implements the client side of SRP-6a as Amazon Cognito uses it: the proof of a
// password to a server that only knows a verifier of the password. The package only
// calculates: it uses no network and no types of an SDK.
//
// A sign-in takes two calls: [New], whose [Client.Public] is sent as SRP_A, and
// [Client.Prove], which answers the challenge that comes back. A machine that the user pool
// remembers proves the password of its device in the same way; [NewDevice] generates that
// password.
//
// The protocol is not published. It is RFC 5054 with SHA-256, the 3072-bit group of RFC 3526,
// a salt in front of one hash of pool, user and password, and a session key of 16 bytes from
// HKDF. The package agrees with AWS's client in every test vector.
//
// Timing: hashing and HMAC take the same time for any content. The exponentiations are those
// of math/big, which does not promise constant time. Their timing could reveal something about
// the ephemeral key, which is used once, and about the hash of password and salt, which is
// used in one or two exponentiations per sign-in, next to the delays of a network. No secrets
// are compared here; the server does that.
package srp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"sync"
	"time"
)

// A group is a safe prime with a generator, and k = H(N, g).
type group struct{ prime, generator, multiplier *big.Int }

// rfc3526 returns Cognito's group: a prime of 3072 bits (RFC 3526, 4) with generator 2. Its
// numbers are read when a sign-in needs them, not at each start.
var rfc3526 = sync.OnceValue(func() group {
	prime, _ := new(big.Int).SetString(""+
		"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"+
		"020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"+
		"4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"+
		"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05"+
		"98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB"+
		"9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"+
		"E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718"+
		"3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33"+
		"A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"+
		"ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864"+
		"D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2"+
		"08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF", 16)
	generator := big.NewInt(2)
	return group{prime, generator, hashNumbers(prime, generator)}
})

// ephemeralSize is the length of the ephemeral key, in bytes. It is the same as in AWS's client.
const ephemeralSize = 128

// The errors of a challenge. A server that sends a challenge with one of the last two is
// attacking the protocol, and must get no proof.
var (
	ErrMalformed = errors.New("the SRP challenge is malformed")
	ErrZeroB     = errors.New("the server's SRP key is zero")
	ErrZeroU     = errors.New("the SRP keys hash to zero")
)

// A Client is one handshake: an ephemeral key, good for one proof.
type Client struct{ a, public *big.Int }

// New returns a Client with a random key.
func New() *Client {
	return newClient(new(big.Int).SetBytes(random(ephemeralSize)))
}

func newClient(a *big.Int) *Client {
	g := rfc3526()
	return &Client{a: a, public: new(big.Int).Exp(g.generator, a, g.prime)}
}

// Public returns the client's public key in hexadecimal: SRP_A.
func (c *Client) Public() string { return c.public.Text(16) }

// An Identity says whose password is proven. For a user, Group is the part of the pool's id
// after the underscore (see [PoolName]) and Name is USER_ID_FOR_SRP. For a device, they are the
// device's group key and key.
type Identity struct{ Group, Name string }

// PoolName returns the part of a user pool's id that SRP uses: "oGu06xbPS" of
// "us-east-2_oGu06xbPS". It is empty if id has no underscore.
func PoolName(id string) string {
	_, name, _ := strings.Cut(id, "_")
	return name
}

// A Challenge is the server's answer to SRP_A, in the form of the wire.
type Challenge struct {
	Salt        string // SALT, hexadecimal, any number of digits
	Public      string // SRP_B, hexadecimal
	SecretBlock string // SECRET_BLOCK, base64
}

// A Proof is the answer to a challenge, in the form of the wire. It reveals nothing about the
// password, except to the server that asked.
type Proof struct {
	Signature   string // PASSWORD_CLAIM_SIGNATURE
	SecretBlock string // PASSWORD_CLAIM_SECRET_BLOCK
	Timestamp   string // TIMESTAMP
}

// timeLayout is the layout of TIMESTAMP, in UTC. The day has no leading zero, which Cognito
// would refuse.
const timeLayout = "Mon Jan 2 15:04:05 UTC 2006"

// Prove answers a challenge with the password of id. Cognito accepts the proof for a few
// seconds after now, the time that it contains. Errors are those of the package.
func (c *Client) Prove(id Identity, password string, ch Challenge, now time.Time) (Proof, error) {
	block, err := base64.StdEncoding.DecodeString(ch.SecretBlock)
	if err != nil || len(block) == 0 {
		return Proof{}, ErrMalformed
	}
	key, err := c.key(id, password, ch)
	if err != nil {
		return Proof{}, err
	}
	at := now.UTC().Format(timeLayout)
	sum := mac(key, []byte(id.Group), []byte(id.Name), block, []byte(at))
	return Proof{base64.StdEncoding.EncodeToString(sum), ch.SecretBlock, at}, nil
}

// key returns the session key, which both sides calculate.
func (c *Client) key(id Identity, password string, ch Challenge) ([]byte, error) {
	salt, err := number(ch.Salt)
	if err != nil {
		return nil, err
	}
	b, err := number(ch.Public)
	if err != nil {
		return nil, err
	}
	if new(big.Int).Mod(b, rfc3526().prime).Sign() == 0 {
		return nil, ErrZeroB
	}
	return c.derive(b, hashNumbers(c.public, b), secret(id, password, salt))
}

// derive returns the HKDF of S = (B − k·g^x)^(a + u·x) under u.
func (c *Client) derive(b, u, x *big.Int) ([]byte, error) {
	if u.Sign() == 0 {
		return nil, ErrZeroU
	}
	g := rfc3526()
	base := new(big.Int).Exp(g.generator, x, g.prime)
	base.Mul(base, g.multiplier)
	base.Sub(b, base)
	base.Mod(base, g.prime) // positive, even if base is negative
	exponent := new(big.Int).Mul(u, x)
	exponent.Add(exponent, c.a)
	s := base.Exp(base, exponent, g.prime)
	return mac(mac(padded(u), padded(s)), []byte("Caldera Derived Key\x01"))[:16], nil
}

// secret returns x, the hash of salt and password.
func secret(id Identity, password string, salt *big.Int) *big.Int {
	inner := sha256.Sum256([]byte(id.Group + id.Name + ":" + password))
	outer := sha256.Sum256(append(padded(salt), inner[:]...))
	return new(big.Int).SetBytes(outer[:])
}

// maxDigits is the length of the longest number that is read: that of the prime and a sign byte.
const maxDigits = 2 * (3072/8 + 1)

// number reads a hexadecimal number. Cognito drops leading zeros, so the number of digits may
// be odd.
func number(digits string) (*big.Int, error) {
	if digits == "" || len(digits) > maxDigits {
		return nil, ErrMalformed
	}
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	b, err := hex.DecodeString(digits) // big.Int would accept "-1" and "1_0", too
	if err != nil {
		return nil, ErrMalformed
	}
	return new(big.Int).SetBytes(b), nil
}

// padded returns the bytes of a number in the form that is hashed: as few bytes as possible,
// with a leading zero if the first bit is set. That is how Java writes a positive number.
func padded(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		return append([]byte{0}, b...)
	}
	return b
}

func hashNumbers(numbers ...*big.Int) *big.Int {
	h := sha256.New()
	for _, n := range numbers {
		_, _ = h.Write(padded(n))
	}
	return new(big.Int).SetBytes(h.Sum(nil))
}

func mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		_, _ = m.Write(p)
	}
	return m.Sum(nil)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
