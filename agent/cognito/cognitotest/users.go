package cognitotest

import (
	"math/big"
	"strings"
	"time"
)

// A Status is a user's state in the pool.
type Status int

// The states that matter to a sign-in.
const (
	Confirmed           Status = iota
	Unconfirmed                // UserNotConfirmedException; a code has been sent for the confirmation
	ForceChangePassword        // NEW_PASSWORD_REQUIRED; Password is the temporary one
	ResetRequired              // PasswordResetRequiredException; a code has been sent for the reset
)

// String returns Cognito's name of the state: "CONFIRMED".
func (st Status) String() string {
	return [...]string{"CONFIRMED", "UNCONFIRMED", "FORCE_CHANGE_PASSWORD", "RESET_REQUIRED"}[st]
}

// A User is an account of the pool.
type User struct {
	Name     string // cognito:username; a UUID like Sub where users sign in by e-mail address
	Password string
	Sub      string // a new UUID when empty
	Email    string // can be used as user name, too
	Phone    string
	Groups   []string
	Claims   map[string]any // more claims of the ID token: "custom:role"
	Status   Status
	Disabled bool

	// MFA names the second factors that are set up: "SOFTWARE_TOKEN_MFA", "SMS_MFA",
	// "EMAIL_OTP". With more than one, SELECT_MFA_TYPE asks which. "MFA_SETUP" alone
	// means that a software token must be set up during the sign-in.
	MFA        []string
	TOTPSecret string // base32, of SOFTWARE_TOKEN_MFA; a new one when empty, see [Server.User]

	// RequiredAttributes must be given with a new password: "name". ID tokens contain them
	// afterwards.
	RequiredAttributes []string

	Passkey bool       // USER_AUTH offers WEB_AUTHN, but refuses every answer to it
	Custom  []Question // the rounds of CUSTOM_AUTH, in order
}

// user is a User with the state that the server keeps for it.
type user struct {
	User
	lock     lockout
	salt     []byte
	verifier *big.Int // SRP's v, of the password in verified
	verified string
	usedStep int64  // the last TOTP step that was accepted: a code works once
	pending  string // TOTP secret handed out by AssociateSoftwareToken

	tokenName string // FriendlyDeviceName of the software token

	devices  map[string]*device   // by device key
	issued   time.Time            // of a temporary password
	previous []string             // passwords, oldest first, without the current one
	codes    map[string]*sentCode // by purpose
	attempts map[string]*attempts // by purpose
}

// AddUser adds an account. It replaces an account with the same name, whose sign-ins end.
func (s *Server) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signOut(u.Name)
	if u.Sub == "" {
		u.Sub = newUUID()
	}
	if u.TOTPSecret == "" {
		u.TOTPSecret = newTOTPSecret()
	}
	added := &user{
		User: u, salt: random(16), usedStep: -1,
		devices:  map[string]*device{},
		codes:    map[string]*sentCode{},
		attempts: map[string]*attempts{},
	}
	s.users[u.Name] = added
	s.onNewStatus(added)
}

// onNewStatus sends the code, or starts the time limit, of the state that an account has just
// got.
func (s *Server) onNewStatus(u *user) {
	switch u.Status {
	case ForceChangePassword:
		u.issued = s.now()
	case Unconfirmed:
		s.sendCode(u, confirmPurpose)
	case ResetRequired:
		s.sendCode(u, resetPurpose)
	}
}

// User returns the account called name as it is now.
func (s *Server) User(name string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.find(name)
	if u == nil {
		return User{}, false
	}
	return u.User, true
}

// EditUser changes an account, except its name. It does nothing if there is no such account. A
// new Status has the same effect as a change by an administrator: it sends the code of that
// state, or starts the time limit of a temporary password. To disable an account:
//
//	srv.EditUser("ada", func(u *cognitotest.User) { u.Disabled = true })
func (s *Server) EditUser(name string, edit func(*User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.find(name); u != nil {
		before := u.User
		edit(&u.User)
		u.Name = before.Name
		if u.Password != before.Password {
			u.previous = append(u.previous, before.Password)
		}
		if u.Status != before.Status || u.Status == ForceChangePassword && u.Password != before.Password {
			s.onNewStatus(u)
		}
	}
}

// DeleteUser removes an account and revokes its sign-ins.
func (s *Server) DeleteUser(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.find(name); u != nil {
		s.signOut(u.Name)
		delete(s.users, u.Name)
	}
}

// SignOutUser revokes all sign-ins of a user, as AdminUserGlobalSignOut does.
func (s *Server) SignOutUser(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.find(name); u != nil {
		s.signOut(u.Name)
	}
}

// ForgetLockouts lets every user try passwords and codes again immediately.
func (s *Server) ForgetLockouts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		u.lock = lockout{}
		clear(u.attempts)
	}
}

// find returns the user whose name, e-mail address or sub is name, or nil.
func (s *Server) find(name string) *user {
	if u := s.users[name]; u != nil {
		return u
	}
	for _, u := range s.users {
		if name != "" && (u.Sub == name || strings.EqualFold(u.Email, name)) {
			return u
		}
	}
	return nil
}

// lockout counts wrong passwords. The fifth locks the account for one second, and each further
// one for twice as long, up to 15 minutes. Attempts during that time are refused and do not
// count. The right password, or 15 minutes without an attempt, reset the count.
// https://docs.aws.amazon.com/cognito/latest/developerguide/authentication.html
type lockout struct {
	failures int
	last     time.Time
}

const (
	freeFailures = 5
	longestLock  = 15 * time.Minute
)

// locked reports whether passwords are refused without being checked.
func (l *lockout) locked(now time.Time) bool {
	if now.Sub(l.last) >= longestLock {
		l.failures = 0
	}
	return l.failures >= freeFailures && now.Before(l.last.Add(lockTime(l.failures)))
}

func (l *lockout) fail(now time.Time) { l.failures, l.last = l.failures+1, now }

// lockTime returns how long the n-th wrong password in a row locks the account: 2^(n-5) seconds.
func lockTime(n int) time.Duration {
	if n < freeFailures {
		return 0
	}
	return min(time.Second<<min(n-freeFailures, 20), longestLock)
}
