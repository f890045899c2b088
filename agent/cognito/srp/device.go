package srp

import (
	"crypto/rand"
	"encoding/base64"
	"math/big"
)

// A Verifier is what the user pool keeps of a device's password, as ConfirmDevice
// takes it: numbers in base64, with a zero byte in front where the first bit is set.
type Verifier struct{ Salt, Verifier string }

// saltSize is the length of a device's salt, in bytes.
const saltSize = 16

// NewDevice makes up a password for a device, to be kept, and the verifier of it, to be
// sent. The password can be proven afterwards under the same id.
func NewDevice(id Identity) (password string, v Verifier) {
	password = rand.Text() + rand.Text() // 260 bits
	return password, verifier(id, password, new(big.Int).SetBytes(random(saltSize)))
}

func verifier(id Identity, password string, salt *big.Int) Verifier {
	v := new(big.Int).Exp(generator, secret(id, password, salt), prime)
	return Verifier{
		Salt:     base64.StdEncoding.EncodeToString(padded(salt)),
		Verifier: base64.StdEncoding.EncodeToString(padded(v)),
	}
}
