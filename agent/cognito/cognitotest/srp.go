package cognitotest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"time"
)

// This file implements the server side of SRP-6a as Cognito uses it: SHA-256, the 3072-bit group
// of RFC 3526 with generator 2, and a session key of 16 bytes from HKDF. Every number is hashed
// in as few bytes as possible, with a leading zero if the first bit is set.

var (
	srpN, _ = new(big.Int).SetString(""+
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
	srpG = big.NewInt(2)
	srpK = hashNumbers(srpN, srpG)
)

// srpTime is the layout of TIMESTAMP. The day has no leading zero: Cognito refuses one.
const srpTime = "Mon Jan 2 15:04:05 UTC 2006"

// padded returns the bytes of a number in the form that is hashed.
func padded(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		return append([]byte{0}, b...)
	}
	return b
}

func hashNumbers(ns ...*big.Int) *big.Int {
	h := sha256.New()
	for _, n := range ns {
		h.Write(padded(n))
	}
	return new(big.Int).SetBytes(h.Sum(nil))
}

// srpSecret is x, over the salt and the hash of pool, user and password.
func srpSecret(poolName, userID, password string, salt []byte) *big.Int {
	inner := sha256.Sum256([]byte(poolName + userID + ":" + password))
	h := sha256.New()
	h.Write(padded(new(big.Int).SetBytes(salt)))
	h.Write(inner[:])
	return new(big.Int).SetBytes(h.Sum(nil))
}

// srpVerifier is v = g^x, all that a server needs to store of a password.
func srpVerifier(poolName, userID, password string, salt []byte) *big.Int {
	return new(big.Int).Exp(srpG, srpSecret(poolName, userID, password, salt), srpN)
}

// srpServerPublic is B = k·v + g^b.
func srpServerPublic(v, b *big.Int) *big.Int {
	n := new(big.Int).Mul(srpK, v)
	n.Add(n, new(big.Int).Exp(srpG, b, srpN))
	return n.Mod(n, srpN)
}

// srpServerKey is the session key: HKDF of S = (A·v^u)^b under u.
func srpServerKey(bigA, bigB, v, b *big.Int) []byte {
	u := hashNumbers(bigA, bigB)
	n := new(big.Int).Exp(v, u, srpN)
	n.Mul(n, bigA)
	return srpDerive(u, n.Exp(n, b, srpN))
}

func srpDerive(u, secret *big.Int) []byte {
	extracted := hmacSHA256(padded(u), padded(secret))
	return hmacSHA256(extracted, []byte("Caldera Derived Key\x01"))[:16]
}

func hmacSHA256(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// A handshake is the state of an SRP exchange between its two calls, for the password of a user
// or of a device.
type handshake struct {
	group, id  string // pool and user, or the device's group key and key
	key, block []byte
}

// newHandshake begins an exchange for a verifier with a client's A, and returns B.
func newHandshake(group, id string, v, bigA *big.Int) (*handshake, *big.Int) {
	b := new(big.Int).SetBytes(random(64))
	bigB := srpServerPublic(v, b)
	return &handshake{group, id, srpServerKey(bigA, bigB, v, b), random(1024)}, bigB
}

// proves reports whether c was made by a client that knows the password.
func (h *handshake) proves(c claim) bool {
	want := hmacSHA256(h.key, []byte(h.group), []byte(h.id), h.block, []byte(c.timestamp))
	got, err := base64.StdEncoding.DecodeString(c.signature)
	return err == nil && hmac.Equal(got, want)
}

// A claim is a client's proof.
type claim struct{ signature, timestamp string }

func claimIn(p map[string]string) (claim, error) {
	in, err := required(p, "PASSWORD_CLAIM_SIGNATURE", "PASSWORD_CLAIM_SECRET_BLOCK", "TIMESTAMP")
	if err != nil {
		return claim{}, err
	}
	at, err := time.Parse(srpTime, in[2])
	if err != nil || at.Format(srpTime) != in[2] {
		return claim{}, invalidParameter("TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.")
	}
	return claim{in[0], in[2]}, nil
}

// srpClientPublic reads a client's A.
func srpClientPublic(digits string) (*big.Int, error) {
	bigA, ok := new(big.Int).SetString(digits, 16)
	if !ok || bigA.Sign() < 0 || new(big.Int).Mod(bigA, srpN).Sign() == 0 {
		return nil, invalidParameter("Invalid SRP_A")
	}
	return bigA, nil
}

// poolName returns the part of the pool's id that SRP hashes: the part after the underscore.
func (s *Server) poolName() string {
	_, name, _ := strings.Cut(s.PoolID, "_")
	return name
}

// srpAuth answers USER_SRP_AUTH with a PASSWORD_VERIFIER challenge. The challenge has no
// Session; it is identified by the secret block, which the client returns.
func (s *Server) srpAuth(client string, p map[string]string) (any, error) {
	in, err := required(p, "USERNAME", "SRP_A")
	if err != nil {
		return nil, err
	}
	if err := s.checkSecret(client, in[0], p["SECRET_HASH"]); err != nil {
		return nil, err
	}
	bigA, err := srpClientPublic(in[1])
	if err != nil {
		return nil, err
	}
	u, err := s.findOrFake(in[0])
	if err != nil {
		return nil, err
	}
	ss := &session{user: u, client: client, device: p["DEVICE_KEY"]}
	return s.askPasswordProof(s.awaitAnswer(ss, "PASSWORD_VERIFIER"), bigA), nil
}

// fakeUser returns a stand-in for a user that does not exist. It has the same salt in each
// attempt and a random password.
func (s *Server) fakeUser(name string) *user {
	salt := sha256.Sum256([]byte(s.PoolID + name))
	return &user{User: User{Name: name, Password: newUUID()}, salt: salt[:16]}
}

// askPasswordProof asks, in the session ss, for a proof of the user's password.
func (s *Server) askPasswordProof(ss *session, bigA *big.Int) authOutput {
	u := ss.user
	h, bigB := newHandshake(s.poolName(), u.Name, s.verifierOf(u), bigA)
	return s.askProof(ss, h, map[string]string{
		"SALT": hex.EncodeToString(u.salt), "SRP_B": bigB.Text(16),
		"USERNAME": u.Name, "USER_ID_FOR_SRP": u.Name,
	})
}

// askProof asks, in the session ss, for the proof that completes h.
func (s *Server) askProof(ss *session, h *handshake, parameters map[string]string) authOutput {
	block := base64.StdEncoding.EncodeToString(h.block)
	ss.srp, ss.nameSent = h, true
	s.proofs[block] = ss
	parameters["SECRET_BLOCK"] = block
	return authOutput{ChallengeName: ss.challenge, ChallengeParameters: parameters, Session: ss.id}
}

// verifierOf returns the verifier of a user. It only calculates it when the password has
// changed, because that is slow.
func (s *Server) verifierOf(u *user) *big.Int {
	if u.verifier == nil || u.verified != u.Password {
		u.verifier = srpVerifier(s.poolName(), u.Name, u.Password, u.salt)
		u.verified = u.Password
	}
	return u.verifier
}

func (s *Server) answerProof(ss *session, p map[string]string) (any, error) {
	c, err := claimIn(p)
	if err != nil {
		return nil, err
	}
	ss.used = true
	if err := s.firstFactor(ss.user, func() bool { return ss.srp.proves(c) }); err != nil {
		return nil, err
	}
	return s.proceed(ss)
}
