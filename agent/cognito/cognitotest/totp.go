package cognitotest

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"time"
)

// TOTP returns the code that an authenticator app shows at a time, for a secret in base32: RFC
// 6238 with SHA-1, six digits and steps of 30 s.
func TOTP(secret string, at time.Time) string {
	return totpStep(secret, at.Unix()/totpPeriod)
}

const totpPeriod = 30 // seconds

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

func totpStep(secret string, step int64) string {
	key, _ := base32Plain.DecodeString(secret) // a malformed secret matches no code
	m := hmac.New(sha1.New, key)
	_ = binary.Write(m, binary.BigEndian, step)
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 0xf // RFC 4226, 5.3
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1_000_000)
}

func newTOTPSecret() string { return base32Plain.EncodeToString(random(32)) }

// checkTOTP accepts the code of now and of one step on either side, each once.
func (u *user) checkTOTP(secret, code string, now time.Time) error {
	step := now.Unix() / totpPeriod
	for _, s := range []int64{step, step - 1, step + 1} {
		if subtle.ConstantTimeCompare([]byte(totpStep(secret, s)), []byte(code)) == 0 {
			continue
		}
		if s <= u.usedStep {
			return apiError{"ExpiredCodeException", "Your software token has already been used once."}
		}
		u.usedStep = s
		return nil
	}
	return apiError{"CodeMismatchException", "Invalid code received for user"}
}
