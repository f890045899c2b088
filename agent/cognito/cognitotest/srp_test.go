package cognitotest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// srp-vectors.json was made with amazon-cognito-identity-js. It has the numbers of four exchanges, some
// with leading zero bytes, and the client's key.
func TestSRPVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/srp-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Pool, User, PW, Salt, Key string
		LowerA                    string `json:"a"`
		UpperA                    string `json:"A"`
		B                         string
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 4 {
		t.Fatalf("%d vectors, want 4", len(vectors))
	}
	for i, v := range vectors {
		a, salt := number(t, v.LowerA), number(t, v.Salt).Bytes()
		bigA := cognitotest.SRPPublicForTest(a)
		equal(t, "A", bigA.Text(16), v.UpperA)
		key := cognitotest.SRPClientKeyForTest(v.Pool, v.User, v.PW, salt, a, bigA, number(t, v.B))
		if got := hex.EncodeToString(key); got != v.Key {
			t.Errorf("vector %d: key %s, want %s", i, got, v.Key)
		}
	}
}

func number(t *testing.T, digits string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok {
		t.Fatalf("not a hexadecimal number: %q", digits)
	}
	return n
}

func TestSRPPrimeIsSafe(t *testing.T) {
	n := cognitotest.SRPPrimeForTest
	q := new(big.Int).Rsh(n, 1)
	if n.BitLen() != 3072 || !n.ProbablyPrime(0) || !q.ProbablyPrime(0) {
		t.Error("N is not a safe prime of 3072 bits")
	}
}

// Both formulas must give the same key. The numbers are small enough to have leading zeros.
func TestSRPBothSidesAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 16 {
		a, b := big.NewInt(random.Int64()), big.NewInt(random.Int64())
		salt := []byte{0, byte(random.Uint32()), 7}
		bigA := cognitotest.SRPPublicForTest(a)
		bigB, server := cognitotest.SRPServerKeyForTest("pool", "ada", "Pä$$w0rd", salt, bigA, b)
		client := cognitotest.SRPClientKeyForTest("pool", "ada", "Pä$$w0rd", salt, a, bigA, bigB)
		if !bytes.Equal(server, client) {
			t.Fatalf("a=%v b=%v: server %x, client %x", a, b, server, client)
		}
	}
}

const goodTime = "Sat Sep 5 12:00:00 UTC 2026"

func srpStart(t *testing.T, srv *cognitotest.Server, name string, bigA string) reply {
	t.Helper()
	return call(t, srv, "InitiateAuth", m{"AuthFlow": "USER_SRP_AUTH", "ClientId": srv.ClientID,
		"AuthParameters": m{"USERNAME": name, "SRP_A": bigA}})
}

func srpAnswer(t *testing.T, srv *cognitotest.Server, p map[string]string, signature, timestamp string) string {
	t.Helper()
	return call(t, srv, "RespondToAuthChallenge", m{"ChallengeName": "PASSWORD_VERIFIER", "ClientId": srv.ClientID,
		"ChallengeResponses": m{"USERNAME": p["USERNAME"], "TIMESTAMP": timestamp,
			"PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"], "PASSWORD_CLAIM_SIGNATURE": signature}}).result()
}

func TestSRPSignIn(t *testing.T) {
	clock := newClock()
	tests := []struct {
		test, name, password, time string
		setup                      func(*cognitotest.Server)
		want                       string
	}{
		{"right", userName, password, goodTime, nil, "ok"},
		{"by e-mail address", "ada@example.com", password, goodTime, nil, "ok"},
		{"wrong", userName, "x", goodTime, nil, bad},
		{"unknown", "bob", password, goodTime, nil, bad},
		{"padded day", userName, password, "Sat Sep 05 12:00:00 UTC 2026", nil,
			"InvalidParameterException: TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english."},
		{"late", userName, password, goodTime, func(*cognitotest.Server) { clock.Advance(3 * time.Minute) }, bad},
		{"disabled", userName, password, goodTime, func(s *cognitotest.Server) {
			s.EditUser(userName, func(u *cognitotest.User) { u.Disabled = true })
		}, "NotAuthorizedException: User is disabled."},
		{"new password", userName, password, goodTime, func(s *cognitotest.Server) {
			s.EditUser(userName, func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword })
		}, "NEW_PASSWORD_REQUIRED"},
	}
	for _, tt := range tests {
		t.Run(tt.test, func(t *testing.T) {
			srv := start(t, cognitotest.Now(clock.Now))
			a := big.NewInt(0x1234567890abcdef)
			out := srpStart(t, srv, tt.name, cognitotest.SRPPublicForTest(a).Text(16))
			equal(t, "first answer", out.result(), "PASSWORD_VERIFIER")
			if tt.setup != nil {
				tt.setup(srv)
			}
			p := out.ChallengeParameters
			signature := cognitotest.SRPAnswerForTest("cognitote", tt.password, a, p, tt.time)
			equal(t, "second answer", srpAnswer(t, srv, p, signature, tt.time), tt.want)
			if tt.want == "ok" {
				equal(t, "the same proof again", srpAnswer(t, srv, p, signature, tt.time), bad)
			}
		})
	}
}

func TestSRPRefusals(t *testing.T) {
	srv := start(t)
	for _, bigA := range []string{"0", cognitotest.SRPPrimeForTest.Text(16), "-5", "x"} {
		equal(t, "A = "+bigA, srpStart(t, srv, userName, bigA).result(), "InvalidParameterException: Invalid SRP_A")
	}
	first, second := srpStart(t, srv, "bob", "2"), srpStart(t, srv, "bob", "2")
	equal(t, "salt of an unknown user", second.ChallengeParameters["SALT"], first.ChallengeParameters["SALT"])
	srv.Set(cognitotest.HideUnknownUsers(false))
	equal(t, "unknown, told", srpStart(t, srv, "bob", "2").result(), "UserNotFoundException: User does not exist.")
	srv.Set(cognitotest.Flows("USER_PASSWORD_AUTH"))
	equal(t, "flow off", srpStart(t, srv, userName, "2").result(),
		"InvalidParameterException: USER_SRP_AUTH is not enabled for the client.")
}

func TestSRPCountsTowardsTheLockout(t *testing.T) {
	srv := start(t)
	for range 5 {
		p := srpStart(t, srv, userName, "2").ChallengeParameters
		equal(t, "bad proof", srpAnswer(t, srv, p, "AAAA", goodTime), bad)
	}
	equal(t, "a good password then", try(t, srv, userName, password), locked)
}
