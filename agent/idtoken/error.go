package idtoken

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Check is one of the checks of [Verify], named after the part of the token it
// looks at. A Check is an error, for errors.Is:
//
//	if errors.Is(err, idtoken.CheckExpiry) { … }
type Check string

// The checks, in the order they are made.
const (
	CheckFormat    Check = "format"    // not a signed JWT, or too large
	CheckAlgorithm Check = "alg"       // not RS256
	CheckKey       Check = "kid"       // signed with a key the issuer does not list, or the list could not be had
	CheckSignature Check = "signature" // not by that key
	CheckUse       Check = "token_use" // not an ID token
	CheckIssuer    Check = "iss"       // from another user pool
	CheckAudience  Check = "aud"       // for another app client
	CheckSubject   Check = "sub"       // of another user
	CheckLifetime  Check = "lifetime"  // exp − iat makes no sense
	CheckExpiry    Check = "exp"       // expired
	CheckIssuedAt  Check = "iat"       // from the future
	CheckNotBefore Check = "nbf"       // not valid yet
)

// Error returns the check's name.
func (c Check) Error() string { return string(c) }

// An Error says which check a token failed. It never holds the token.
type Error struct {
	Check Check
	Want  string // what was expected
	Got   string // what was found, quoted and cut short
	Err   error  // of CheckKey: why the keys could not be had; else nil
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

// maxQuote is how much of a claim an error shows, in bytes: enough for an issuer.
const maxQuote = 120

// quote renders what a token says of itself, so that it can neither fill a line
// nor write to a terminal.
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

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
