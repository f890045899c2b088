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

// ExpireCodes invalidates all codes that were sent to confirm an account or to reset a password.
// Codes of challenges are valid as long as their session.
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

// randomCode returns a code of six digits, or of eight if the code is the only factor.
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

// The purposes of codes outside a sign-in, and how long the codes are valid.
const (
	confirmPurpose = "ConfirmSignUp"
	resetPurpose   = "ForgotPassword"
	changePurpose  = "ChangePassword" // has no code, but attempts are counted

	confirmLifetime = 24 * time.Hour
	resetLifetime   = time.Hour
)

// A sentCode is the valid code of a purpose: the last one that was sent.
type sentCode struct {
	code    string
	expires time.Time
}

// delivery is CodeDeliveryDetails.
type delivery struct{ AttributeName, DeliveryMedium, Destination string }

// deliveryTo returns where codes are sent: to the e-mail address, or else to the phone number.
func deliveryTo(u *user) (d delivery, ok bool) {
	switch {
	case u.Email != "":
		return delivery{"email", "EMAIL", maskEmail(u.Email)}, true
	case u.Phone != "":
		return delivery{"phone_number", "SMS", maskPhone(u.Phone)}, true
	}
	return delivery{}, false
}

// sendCode sends a code for a purpose, which replaces any code that was sent before.
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

// checkCode checks a code for a purpose. The code stays valid until useCode.
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

// expiredCode is the answer to a code that has expired, was used or was never sent. The pool
// does not distinguish these cases.
func expiredCode() error {
	return apiError{"ExpiredCodeException", "Invalid code provided, please request a code again."}
}

// attempts counts attempts that are limited per hour.
type attempts struct {
	n     int
	since time.Time
}

// attempt counts an attempt for a purpose. Call exhausted before.
func (s *Server) attempt(u *user, purpose string) {
	if u.attempts[purpose] == nil {
		u.attempts[purpose] = &attempts{since: s.now()}
	}
	u.attempts[purpose].n++
}

// exhausted reports whether the limit of attempts for a purpose is reached.
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
