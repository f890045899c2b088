package agent

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a string that no formatting verb, log handler or JSON encoder prints. Only
// Reveal returns it, so `grep Reveal` lists every place where a secret gets out. The zero
// Secret is empty.
//
// It holds a pointer on purpose: fmt cannot call methods on a value in an unexported field
// of another struct, and would print a string found there; of a pointer it prints the
// address.
type Secret struct{ value *string }

// NewSecret wraps s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{value: &s}
}

// Reveal returns the secret.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether s is empty.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal compares in constant time.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// Format prints a placeholder whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns a placeholder.
func (s Secret) String() string { return redacted }

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON fails: code that means to send a secret calls Reveal.
func (s Secret) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a secret is never encoded by accident: call Reveal")
}
