package cognitotest

import (
	"encoding/base64"
	"encoding/hex"
	"math/big"
)

// SRPPublicForTest is the client's A = g^a.
func SRPPublicForTest(a *big.Int) *big.Int { return new(big.Int).Exp(srpG, a, srpN) }

// SRPClientKeyForTest returns the key as a client calculates it: the same key with the other formula,
// S = (B − k·g^x)^(a + u·x).
func SRPClientKeyForTest(poolName, userID, password string, salt []byte, a, bigA, bigB *big.Int) []byte {
	x := srpSecret(poolName, userID, password, salt)
	u := hashNumbers(bigA, bigB)
	base := new(big.Int).Mul(srpK, new(big.Int).Exp(srpG, x, srpN))
	base.Sub(bigB, base)
	exponent := new(big.Int).Add(a, new(big.Int).Mul(u, x))
	return srpDerive(u, base.Mod(base, srpN).Exp(base, exponent, srpN))
}

// SRPServerKeyForTest returns B and the server's key, for A and a verifier.
func SRPServerKeyForTest(poolName, userID, password string, salt []byte, bigA, b *big.Int) (*big.Int, []byte) {
	v := srpVerifier(poolName, userID, password, salt)
	bigB := srpServerPublic(v, b)
	return bigB, srpServerKey(bigA, bigB, v, b)
}

// SRPAnswerForTest signs a PASSWORD_VERIFIER challenge.
func SRPAnswerForTest(poolName, password string, a *big.Int, p map[string]string, timestamp string) string {
	return SRPProofForTest(poolName, p["USER_ID_FOR_SRP"], password, a, p, timestamp)
}

// SRPProofForTest signs a challenge for a password of id in group: a user's in its pool,
// or a device's.
func SRPProofForTest(group, id, password string, a *big.Int, p map[string]string, timestamp string) string {
	salt, _ := hex.DecodeString(p["SALT"])
	block, _ := base64.StdEncoding.DecodeString(p["SECRET_BLOCK"])
	bigB, _ := new(big.Int).SetString(p["SRP_B"], 16)
	key := SRPClientKeyForTest(group, id, password, salt, a, SRPPublicForTest(a), bigB)
	return base64.StdEncoding.EncodeToString(
		hmacSHA256(key, []byte(group), []byte(id), block, []byte(timestamp)))
}

// DeviceVerifierForTest returns the salt and verifier of a device's password, for ConfirmDevice.
func DeviceVerifierForTest(group, key, password string, salt []byte) string {
	return base64.StdEncoding.EncodeToString(padded(srpVerifier(group, key, password, salt)))
}

// SRPPrimeForTest is N.
var SRPPrimeForTest = srpN
