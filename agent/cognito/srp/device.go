package srp

import (
	"crypto/rand"
	"encoding/base64"
	"math/big"
)

// A Verifier is what the user pool stores of a device's password, in the form that
// ConfirmDevice takes: numbers in base64, with a leading zero byte if the first bit is set.
type Verifier struct{ Salt, Verifier string }

// saltSize is the length of a device's salt, in bytes.
const saltSize = 16

// NewDevice generates a password for a device, to be stored, and its verifier, to be sent. The
// password can be proven afterwards with the same id.
func NewDevice(id Identity) (password string, v Verifier) {
	password = rand.Text() + rand.Text() // 260 bits
	return password, verifier(id, password, new(big.Int).SetBytes(random(saltSize)))
}

func verifier(id Identity, password string, salt *big.Int) Verifier {
	g := rfc3526()
	v := new(big.Int).Exp(g.generator, secret(id, password, salt), g.prime)
	return Verifier{
		Salt:     base64.StdEncoding.EncodeToString(padded(salt)),
		Verifier: base64.StdEncoding.EncodeToString(padded(v)),
	}
}
