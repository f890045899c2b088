package cognitotest

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// A Message is an SMS or e-mail that the pool has sent.
type Message struct {
	User        string // name
	Purpose     string // "ForgotPassword", "ConfirmSignUp" or a challenge: "SMS_MFA"
	Medium      string // "SMS" or "EMAIL"
	Destination string // in full
	Code        string
	Time        time.Time
}

// Messages returns what the pool has sent, oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// ExpireCodes makes all codes too old that were sent to confirm an account or to reset a
// password. Those of challenges live as long as their session.
func (s *Server) ExpireCodes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		clear(u.codes)
	}
}

// send sends a message with a code, and returns the code.
func (s *Server) send(u *user, purpose, medium string) string {
	destination := u.Email
	if medium == "SMS" {
		destination = u.Phone
	}
	code := s.set.code
	if code == "" {
		code = randomCode(purpose)
	}
	s.messages = append(s.messages, Message{u.Name, purpose, medium, destination, code, s.now()})
	return code
}

// randomCode has six digits, but eight where it is all there is to sign in with.
func randomCode(purpose string) string {
	digits := 6
	if strings.HasSuffix(purpose, "_OTP") {
		digits = 8
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n, _ := rand.Int(rand.Reader, limit) // never fails
	return fmt.Sprintf("%0*d", digits, n)
}

func sameCode(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// What a code outside a sign-in is good for, and for how long.
const (
	confirmPurpose = "ConfirmSignUp"
	resetPurpose   = "ForgotPassword"
	changePurpose  = "ChangePassword" // has no code, but its attempts are counted

	confirmLifetime = 24 * time.Hour
	resetLifetime   = time.Hour
)

// sentCode is the one code that is good for a purpose: the last one sent.
type sentCode struct {
	code    string
	expires time.Time
}

// delivery is CodeDeliveryDetails.
type delivery struct{ AttributeName, DeliveryMedium, Destination string }

// deliveryTo tells where the user's codes go: to the e-mail address, else to the telephone.
func deliveryTo(u *user) (d delivery, ok bool) {
	switch {
	case u.Email != "":
		return delivery{"email", "EMAIL", maskEmail(u.Email)}, true
	case u.Phone != "":
		return delivery{"phone_number", "SMS", maskPhone(u.Phone)}, true
	}
	return delivery{}, false
}

// sendCode sends a code for a purpose, in the place of any sent before.
func (s *Server) sendCode(u *user, purpose string) {
	d, ok := deliveryTo(u)
	if !ok {
		return
	}
	lifetime := resetLifetime
	if purpose == confirmPurpose {
		lifetime = confirmLifetime
	}
	u.codes[purpose] = &sentCode{s.send(u, purpose, d.DeliveryMedium), s.now().Add(lifetime)}
}

// checkCode checks a code for a purpose. It stays good until useCode.
func (s *Server) checkCode(u *user, purpose, code string) error {
	sent := u.codes[purpose]
	if sent == nil || !s.now().Before(sent.expires) {
		return expiredCode()
	}
	if !sameCode(code, sent.code) {
		s.attempt(u, purpose)
		return apiError{"CodeMismatchException", "Invalid verification code provided, please try again."}
	}
	return nil
}

func (u *user) useCode(purpose string) {
	delete(u.codes, purpose)
	delete(u.attempts, purpose)
}

// expiredCode is the answer to a code that is too old, has been used or was never sent;
// the pool does not tell these apart.
func expiredCode() error {
	return apiError{"ExpiredCodeException", "Invalid code provided, please request a code again."}
}

// attempts counts what is limited by the hour.
type attempts struct {
	n     int
	since time.Time
}

// attempt counts one attempt for a purpose, which exhausted has let pass.
func (s *Server) attempt(u *user, purpose string) {
	if u.attempts[purpose] == nil {
		u.attempts[purpose] = &attempts{since: s.now()}
	}
	u.attempts[purpose].n++
}

// exhausted tells whether the hour's attempts for a purpose have been made.
func (s *Server) exhausted(u *user, purpose string) bool {
	a := u.attempts[purpose]
	if a == nil {
		return false
	}
	if s.now().Sub(a.since) >= time.Hour {
		delete(u.attempts, purpose)
		return false
	}
	return a.n >= s.set.attempts
}

const attemptLimit = "Attempt limit exceeded, please try after some time."

func limitExceeded() error { return apiError{"LimitExceededException", attemptLimit} }

func tooManyAttempts() error { return apiError{"TooManyFailedAttemptsException", attemptLimit} }
