package cognitotest

import (
	"slices"
	"strings"
	"time"
)

// A PasswordPolicy is what the pool asks of new passwords. It does not look at those that
// AddUser and EditUser give.
type PasswordPolicy struct {
	MinLength int // in characters; 6 to 99 at Cognito

	Lowercase, Uppercase, Digits, Symbols bool // at least one of each

	// History is how many passwords, the current one included, cannot be used again; up
	// to 24 at Cognito.
	History int

	// Temporary is how long a temporary password, of ForceChangePassword, can be used;
	// 0 is for ever.
	Temporary time.Duration
}

// StandardPasswords is the policy of a pool made without one at Cognito: eight characters
// with one of each kind, no history, seven days for a temporary password.
func StandardPasswords() PasswordPolicy {
	return PasswordPolicy{
		MinLength: 8, Lowercase: true, Uppercase: true, Digits: true, Symbols: true,
		Temporary: 7 * 24 * time.Hour,
	}
}

// Passwords sets the pool's password policy. Without it, that is StandardPasswords which
// does not ask for the kinds of characters.
func Passwords(p PasswordPolicy) Setting { return func(c *settings) { c.policy = p } }

// symbols are Cognito's special characters; a space counts inside a password.
// https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html
const symbols = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- "

// violation is the first thing that p finds wrong with a password, in Cognito's words.
func (p PasswordPolicy) violation(password string) string {
	has := func(lo, hi rune) bool {
		return strings.ContainsFunc(password, func(r rune) bool { return lo <= r && r <= hi })
	}
	switch {
	case len([]rune(password)) < p.MinLength:
		return "Password not long enough"
	case p.Lowercase && !has('a', 'z'):
		return "Password must have lowercase characters"
	case p.Uppercase && !has('A', 'Z'):
		return "Password must have uppercase characters"
	case p.Digits && !has('0', '9'):
		return "Password must have numeric characters"
	case p.Symbols && !strings.ContainsAny(strings.TrimSpace(password), symbols):
		return "Password must have symbol characters"
	}
	return ""
}

// setPassword gives the user a password of its own choice, or tells what is wrong with it.
func (s *Server) setPassword(u *user, password string) error {
	p := s.set.policy
	if v := p.violation(password); v != "" {
		return apiError{"InvalidPasswordException", "Password did not conform with policy: " + v}
	}
	used := append(slices.Clone(u.previous), u.Password)
	if slices.Contains(used[max(len(used)-p.History, 0):], password) {
		return apiError{"PasswordHistoryPolicyViolationException", "Password has previously been used."}
	}
	u.previous, u.Password, u.Status, u.lock = used, password, Confirmed, lockout{}
	return nil
}

// stale tells whether the user's password is a temporary one whose time is over.
func (s *Server) stale(u *user) bool {
	lifetime := s.set.policy.Temporary
	return u.Status == ForceChangePassword && lifetime > 0 && s.now().Sub(u.issued) >= lifetime
}
