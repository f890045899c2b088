package srp_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/srp"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A vector is an exchange that AWS's client (amazon-cognito-identity-js) made, with random keys and
// passwords outside ASCII. Numbers have no leading zeros.
type vector struct {
	Pool, User, PW string
	Ephemeral      string `json:"a"`
	ClientPublic   string `json:"A"`
	ServerPublic   string `json:"B"`
	Salt, Key      string
}

// UnmarshalJSON distinguishes names by case, which encoding/json does not: there are "a" and "A".
func (v *vector) UnmarshalJSON(data []byte) error {
	var m map[string]string
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	*v = vector{m["pool"], m["user"], m["pw"], m["a"], m["A"], m["B"], m["salt"], m["key"]}
	return nil
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(data, &list); err != nil {
		tb.Fatal(err)
	}
	return list
}

func (v vector) identity() srp.Identity { return srp.Identity{Group: v.Pool, Name: v.User} }

func (v vector) challenge() srp.Challenge {
	return srp.Challenge{Salt: v.Salt, Public: v.ServerPublic, SecretBlock: "c2VjcmV0"}
}

func TestVectors(t *testing.T) {
	testpeer.Slow(t)
	list := vectors(t)
	var short int // salts and keys that have lost zeros
	for i, v := range list {
		c := srp.ClientForTest(v.Ephemeral)
		if c.Public() != v.ClientPublic {
			t.Errorf("vector %d: the public key differs", i)
		}
		key, err := c.KeyForTest(v.identity(), v.PW, v.challenge())
		if err != nil || hex.EncodeToString(key) != v.Key {
			t.Errorf("vector %d: key %x, %v, want %s", i, key, err, v.Key)
		}
		if len(v.Salt) < 31 || len(v.ServerPublic) < 767 || strings.HasPrefix(v.Key, "00") {
			short++
		}
	}
	t.Logf("%d vectors, %d with leading zeros", len(list), short)
	if len(list) != 120 || short < 50 {
		t.Errorf("%d vectors, %d with leading zeros: some are lost", len(list), short)
	}
}

// Leading zeros, capital letters and odd numbers of digits make no difference.
func TestSpellings(t *testing.T) {
	v := vectors(t)[0]
	c := srp.ClientForTest(v.Ephemeral)
	for name, ch := range map[string]srp.Challenge{
		"zeros":    {Salt: "00" + v.Salt, Public: "00" + v.ServerPublic},
		"one zero": {Salt: "0" + v.Salt, Public: "0" + v.ServerPublic},
		"capitals": {Salt: strings.ToUpper(v.Salt), Public: strings.ToUpper(v.ServerPublic)},
	} {
		key, err := c.KeyForTest(v.identity(), v.PW, ch)
		if err != nil || hex.EncodeToString(key) != v.Key {
			t.Errorf("%s: %x, %v", name, key, err)
		}
	}
}

func TestAnythingElseChangesTheKey(t *testing.T) {
	v := vectors(t)[1]
	c := srp.ClientForTest(v.Ephemeral)
	other := v.challenge()
	other.Salt = "1" + other.Salt[1:]
	if v.Salt == other.Salt {
		t.Fatal("choose another salt")
	}
	for name, key := range map[string]func() ([]byte, error){
		"pool":     func() ([]byte, error) { return c.KeyForTest(srp.Identity{"p", v.User}, v.PW, v.challenge()) },
		"user":     func() ([]byte, error) { return c.KeyForTest(srp.Identity{v.Pool, "u"}, v.PW, v.challenge()) },
		"password": func() ([]byte, error) { return c.KeyForTest(v.identity(), v.PW+" ", v.challenge()) },
		"salt":     func() ([]byte, error) { return c.KeyForTest(v.identity(), v.PW, other) },
	} {
		got, err := key()
		if err != nil || hex.EncodeToString(got) == v.Key || len(got) != 16 {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	n := srp.PrimeForTest()
	good := vectors(t)[0].challenge()
	with := func(edit func(*srp.Challenge)) srp.Challenge {
		ch := good
		edit(&ch)
		return ch
	}
	public := func(s string) srp.Challenge { return with(func(ch *srp.Challenge) { ch.Public = s }) }
	tests := []struct {
		name string
		ch   srp.Challenge
		want error
	}{
		{"B is 0", public("0"), srp.ErrZeroB},
		{"B is 0, at length", public(strings.Repeat("0", 768)), srp.ErrZeroB},
		{"B is N", public(n.Text(16)), srp.ErrZeroB},
		{"B is 2N", public(new(big.Int).Lsh(n, 1).Text(16)), srp.ErrZeroB},
		{"B is empty", public(""), srp.ErrMalformed},
		{"B is negative", public("-5"), srp.ErrMalformed},
		{"B has a sign", public("+5"), srp.ErrMalformed},
		{"B has a prefix", public("0x5"), srp.ErrMalformed},
		{"B has a separator", public("5_5"), srp.ErrMalformed},
		{"B has a space", public(" 55"), srp.ErrMalformed},
		{"B is no number", public("xyz"), srp.ErrMalformed},
		{"B is too long", public(strings.Repeat("5", 771)), srp.ErrMalformed},
		{"no salt", with(func(ch *srp.Challenge) { ch.Salt = "" }), srp.ErrMalformed},
		{"the salt is no number", with(func(ch *srp.Challenge) { ch.Salt = "salt" }), srp.ErrMalformed},
		{"the salt is too long", with(func(ch *srp.Challenge) { ch.Salt = strings.Repeat("5", 1<<20) }), srp.ErrMalformed},
		{"no secret block", with(func(ch *srp.Challenge) { ch.SecretBlock = "" }), srp.ErrMalformed},
		{"the secret block is not base64", with(func(ch *srp.Challenge) { ch.SecretBlock = "a%b" }), srp.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := srp.New().Prove(srp.Identity{Group: "p", Name: "u"}, "password", test.ch, time.Now())
			if !errors.Is(err, test.want) || p != (srp.Proof{}) {
				t.Errorf("%+v, %v, want %v", p, err, test.want)
			}
		})
	}
	if key, err := srp.New().ZeroUForTest(); !errors.Is(err, srp.ErrZeroU) || key != nil {
		t.Errorf("u is zero: %x, %v", key, err)
	}
}

func TestProof(t *testing.T) {
	v := vectors(t)[2]
	ch := v.challenge()
	// A day of one digit, and another time zone.
	now := time.Date(2026, 9, 5, 23, 4, 5, 6, time.FixedZone("", -2*60*60))
	p, err := srp.ClientForTest(v.Ephemeral).Prove(v.identity(), v.PW, ch, now)
	if err != nil {
		t.Fatal(err)
	}
	if p.Timestamp != "Sun Sep 6 01:04:05 UTC 2026" || p.SecretBlock != ch.SecretBlock {
		t.Errorf("%+v", p)
	}
	key, _ := hex.DecodeString(v.Key)
	m := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(m, "%s%ssecret%s", v.Pool, v.User, p.Timestamp)
	if want := base64.StdEncoding.EncodeToString(m.Sum(nil)); p.Signature != want {
		t.Errorf("signature %s, want %s", p.Signature, want)
	}
}

func TestClientsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 5 {
		public := srp.New().Public()
		if seen[public] || len(public) < 700 {
			t.Errorf("%d digits, seen before: %v", len(public), seen[public])
		}
		seen[public] = true
	}
}

func TestPoolName(t *testing.T) {
	for id, want := range map[string]string{
		"us-east-2_oGu06xbPS": "oGu06xbPS", "us-east-2_a_b": "a_b", "us-east-2": "", "": "",
	} {
		if got := srp.PoolName(id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
}

// A device proves its password to a server with the verifier, which the test implements.
func TestDevice(t *testing.T) {
	id := srp.Identity{Group: "-dJKs7", Name: "us-east-2_0f1e2d3c-0000-4000-8000-000000000000"}
	password, v := srp.NewDevice(id)
	if other, w := srp.NewDevice(id); other == password || w == v || len(password) < 40 {
		t.Errorf("passwords repeat, or are short")
	}
	salt, verifier := decode(t, v.Salt), decode(t, v.Verifier)

	n := srp.PrimeForTest()
	k := hash(n, big.NewInt(2))
	b := big.NewInt(1234567890123456789)
	bigB := new(big.Int).Exp(big.NewInt(2), b, n)
	bigB.Add(bigB, new(big.Int).Mul(k, verifier)).Mod(bigB, n)
	c := srp.New()
	key, err := c.KeyForTest(id, password, srp.Challenge{Salt: salt.Text(16), Public: bigB.Text(16)})
	if err != nil {
		t.Fatal(err)
	}
	bigA, _ := new(big.Int).SetString(c.Public(), 16)
	u := hash(bigA, bigB)
	s := new(big.Int).Exp(verifier, u, n)
	s.Mul(s, bigA).Exp(s, b, n)
	if want := expand(u, s); !hmac.Equal(key, want) {
		t.Errorf("the sides do not agree: %x, %x", key, want)
	}
	wrong, _ := c.KeyForTest(id, password+"x", srp.Challenge{Salt: salt.Text(16), Public: bigB.Text(16)})
	if hmac.Equal(key, wrong) {
		t.Error("any password will do")
	}
}

// decode reads a number of ConfirmDevice, which must not look negative.
func decode(t *testing.T, b64 string) *big.Int {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(b) == 0 || b[0]&0x80 != 0 {
		t.Fatalf("not a positive number: %q, %v", b64, err)
	}
	return new(big.Int).SetBytes(b)
}

func hash(ns ...*big.Int) *big.Int {
	h := sha256.New()
	for _, n := range ns {
		_, _ = h.Write(srp.PaddedForTest(n))
	}
	return new(big.Int).SetBytes(h.Sum(nil))
}

func expand(u, s *big.Int) []byte {
	sum := func(key, message []byte) []byte {
		m := hmac.New(sha256.New, key)
		_, _ = m.Write(message)
		return m.Sum(nil)
	}
	return sum(sum(srp.PaddedForTest(u), srp.PaddedForTest(s)), []byte("Caldera Derived Key\x01"))[:16]
}

func TestPadded(t *testing.T) {
	for hexed, want := range map[string]string{"0": "00", "1": "01", "7f": "7f", "80": "0080", "ff": "00ff", "100": "0100"} {
		n, _ := new(big.Int).SetString(hexed, 16)
		if got := hex.EncodeToString(srp.PaddedForTest(n)); got != want {
			t.Errorf("%s: %s, want %s", hexed, got, want)
		}
	}
}

// Printing a Client does not reveal its ephemeral key.
func TestClientPrintsNoKey(t *testing.T) {
	v := vectors(t)[0]
	c := srp.ClientForTest(v.Ephemeral)
	a, _ := new(big.Int).SetString(v.Ephemeral, 16)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, value := range []any{c, *c, []any{c}} {
			got := fmt.Sprintf(verb, value)
			if strings.Contains(got, a.String()) || strings.Contains(got, v.Ephemeral) {
				t.Errorf("%s of %T prints the key", verb, value)
			}
		}
	}
}

// Any challenge leads to a proof or one of three errors, and to no panic.
func FuzzProve(f *testing.F) {
	v := vectors(f)[0]
	f.Add(v.Salt, v.ServerPublic, "c2VjcmV0", "user", "password")
	f.Add("0", "0", "", "", "")
	f.Add("-1", "+1", "====", "\x00", "Pä$$w0rd")
	f.Add("1", srp.PrimeForTest().Text(16), "c2VjcmV0", "u", "p")
	c := srp.ClientForTest(v.Ephemeral)
	f.Fuzz(func(t *testing.T, salt, public, block, name, password string) {
		p, err := c.Prove(srp.Identity{Group: "pool", Name: name}, password, srp.Challenge{Salt: salt, Public: public, SecretBlock: block}, time.Unix(0, 0))
		switch {
		case err == nil:
			if sum, e := base64.StdEncoding.DecodeString(p.Signature); e != nil || len(sum) != sha256.Size || p.SecretBlock != block {
				t.Errorf("%+v", p)
			}
		case !errors.Is(err, srp.ErrMalformed) && !errors.Is(err, srp.ErrZeroB) && !errors.Is(err, srp.ErrZeroU):
			t.Errorf("unknown error %v", err)
		case p != (srp.Proof{}):
			t.Error("a proof with an error")
		}
	})
}

func BenchmarkProve(b *testing.B) {
	v := vectors(b)[0]
	for b.Loop() {
		if _, err := srp.ClientForTest(v.Ephemeral).Prove(v.identity(), v.PW, v.challenge(), time.Unix(0, 0)); err != nil {
			b.Fatal(err)
		}
	}
}
