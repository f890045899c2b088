package cognitotest

import (
	"slices"
	"strings"
	"time"
)

// A PasswordPolicy holds the rules for new passwords. It does not apply to passwords that are set
// with AddUser and EditUser.
type PasswordPolicy struct {
	MinLength int // in characters; 6 to 99 at Cognito

	Lowercase, Uppercase, Digits, Symbols bool // at least one of each

	// History is how many passwords, including the current one, cannot be used again; up to 24
	// at Cognito.
	History int

	// Temporary is how long a temporary password (see ForceChangePassword) can be used; 0 means
	// without limit.
	Temporary time.Duration
}

// StandardPasswords returns Cognito's default policy: eight characters with one of each kind, no
// history, seven days for a temporary password.
func StandardPasswords() PasswordPolicy {
	return PasswordPolicy{
		MinLength: 8, Lowercase: true, Uppercase: true, Digits: true, Symbols: true,
		Temporary: 7 * 24 * time.Hour,
	}
}

// Passwords sets the pool's password policy. The default is StandardPasswords without the
// requirements for kinds of characters.
func Passwords(p PasswordPolicy) Setting { return func(c *settings) { c.policy = p } }

// symbols are Cognito's special characters; a space counts inside a password.
// https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html
const symbols = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- "

// violation returns the first rule that a password breaks, in Cognito's words, or "".
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

// setPassword sets a password that the user chose, or returns why the policy refuses it.
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

// temporaryExpired reports whether the user's password is a temporary one that has expired.
func (s *Server) temporaryExpired(u *user) bool {
	lifetime := s.set.policy.Temporary
	return u.Status == ForceChangePassword && lifetime > 0 && s.now().Sub(u.issued) >= lifetime
}
