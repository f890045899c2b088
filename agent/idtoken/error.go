package idtoken

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Check is one of the checks of [Verify], named after the part of the token that it
// examines. A Check is an error, for errors.Is:
//
//	if errors.Is(err, idtoken.CheckExpiry) { … }
type Check string

// The checks, in the order they are made.
const (
	CheckFormat    Check = "format"    // not a signed JWT, or too large
	CheckAlgorithm Check = "alg"       // not RS256
	CheckIssuer    Check = "iss"       // from another user pool
	CheckKey       Check = "kid"       // signed with a key that the issuer does not list, or the list is not available
	CheckSignature Check = "signature" // not made with that key
	CheckUse       Check = "token_use" // not an ID token
	CheckAudience  Check = "aud"       // for another app client
	CheckSubject   Check = "sub"       // of another user
	CheckNonce     Check = "nonce"     // of another sign-in
	CheckLifetime  Check = "lifetime"  // exp − iat is not plausible
	CheckExpiry    Check = "exp"       // expired
	CheckIssuedAt  Check = "iat"       // from the future
	CheckNotBefore Check = "nbf"       // not valid yet
)

// Error returns the check's name.
func (c Check) Error() string { return string(c) }

// An Error says which check a token failed. It never contains the token.
type Error struct {
	Check Check
	Want  string // the expected value
	Got   string // the value found, quoted and shortened
	Err   error  // for CheckKey, why the keys are not available; else nil
}

// Error renders "aud: expected …, found …" on one line.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: key %s could not be looked up: %v", e.Check, e.Got, e.Err)
	}
	return fmt.Sprintf("%s: expected %s, found %s", e.Check, e.Want, e.Got)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches a [Check].
func (e *Error) Is(target error) bool {
	c, ok := target.(Check)
	return ok && c == e.Check
}

func refuse(c Check, want, format string, args ...any) *Error {
	return &Error{Check: c, Want: want, Got: fmt.Sprintf(format, args...)}
}

// maxQuote limits how much of a claim an error shows, in bytes. An issuer fits.
const maxQuote = 120

// quote renders values from a token, which anybody may have made: shortened, and escaped so
// that they cannot control a terminal.
func quote(values ...string) string {
	if len(values) == 0 {
		return "none"
	}
	s := strings.Join(values, ", ")
	if len(s) > maxQuote {
		s = s[:maxQuote] + "…"
	}
	return strconv.QuoteToASCII(s)
}

// quoteEach renders the alternatives of an expected value.
func quoteEach(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return strings.Join(quoted, " or ")
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
