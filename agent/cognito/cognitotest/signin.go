package cognitotest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
)

type initiateAuthInput struct {
	AuthFlow       string
	ClientId       string // spelled as on the wire
	AuthParameters map[string]string
}

// authOutput answers InitiateAuth and RespondToAuthChallenge: a challenge or tokens.
type authOutput struct {
	ChallengeName        string            `json:",omitempty"`
	ChallengeParameters  map[string]string // never null: JavaScript reads from it
	AvailableChallenges  []string          `json:",omitempty"`
	Session              string            `json:",omitempty"`
	AuthenticationResult *authResult       `json:",omitempty"`
}

func (s *Server) initiateAuth(in initiateAuthInput) (any, error) {
	flow := in.AuthFlow
	if flow == "REFRESH_TOKEN" {
		flow = "REFRESH_TOKEN_AUTH"
	}
	if err := s.checkClient(in.ClientId); err != nil {
		return nil, err
	}
	if err := s.checkFlow(flow); err != nil {
		return nil, err
	}
	p := in.AuthParameters
	switch flow {
	case "USER_PASSWORD_AUTH":
		return s.passwordAuth(in.ClientId, p)
	case "USER_SRP_AUTH":
		return s.srpAuth(in.ClientId, p)
	case "USER_AUTH":
		return s.choiceAuth(in.ClientId, p)
	case "CUSTOM_AUTH":
		return s.customAuth(in.ClientId, p)
	default:
		return s.refreshAuth(in.ClientId, p)
	}
}

func (s *Server) checkClient(id string) error {
	if id == "" {
		return invalidParameter("1 validation error detected: Value at 'clientId' failed to satisfy constraint: Member must not be null")
	}
	if !s.clients[id] {
		return apiError{"ResourceNotFoundException", "User pool client " + id + " does not exist."}
	}
	return nil
}

func (s *Server) checkFlow(flow string) error {
	switch flow {
	case "USER_PASSWORD_AUTH", "USER_SRP_AUTH", "USER_AUTH", "CUSTOM_AUTH", "REFRESH_TOKEN_AUTH":
	case "ADMIN_NO_SRP_AUTH", "ADMIN_USER_PASSWORD_AUTH":
		return invalidParameter("Initiate Auth method not supported.")
	default:
		return invalidParameter("1 validation error detected: Value at 'authFlow' failed to satisfy constraint: Member must satisfy enum value set")
	}
	if s.set.flows == nil || slices.Contains(s.set.flows, flow) {
		return nil
	}
	if flow == "USER_SRP_AUTH" {
		return invalidParameter("USER_SRP_AUTH is not enabled for the client.")
	}
	return invalidParameter(flow + " flow not enabled for this client")
}

// required returns the parameters with the given names, or an error if one is missing.
func required(p map[string]string, names ...string) ([]string, error) {
	values := make([]string, len(names))
	for i, name := range names {
		if p[name] == "" {
			return nil, invalidParameter("Missing required parameter " + name)
		}
		values[i] = p[name]
	}
	return values, nil
}

// checkSecret checks SECRET_HASH, an HMAC of the user name and the client's id.
func (s *Server) checkSecret(client, username, hash string) error {
	switch {
	case s.set.secret == "":
		return nil
	case hash == "":
		return notAuthorized("Client " + client + " is configured with secret but SECRET_HASH was not received")
	case !hmac.Equal([]byte(hash), []byte(SecretHash(username, client, s.set.secret))):
		return notAuthorized("SecretHash does not match for the client: " + client)
	}
	return nil
}

// SecretHash returns the SECRET_HASH of a user for an app client with a secret.
func SecretHash(username, client, secret string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(username + client))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

const badPassword = "Incorrect username or password."

func (s *Server) passwordAuth(client string, p map[string]string) (any, error) {
	v, err := required(p, "USERNAME", "PASSWORD")
	if err != nil {
		return nil, err
	}
	if err := s.checkSecret(client, v[0], p["SECRET_HASH"]); err != nil {
		return nil, err
	}
	u, err := s.findOrRefuse(v[0])
	if err != nil {
		return nil, err
	}
	if err := s.firstFactor(u, u.passwordIs(v[1])); err != nil {
		return nil, err
	}
	ss := &session{user: u, client: client}
	if err := s.takeDeviceKey(ss, p); err != nil {
		return nil, err
	}
	return s.proceed(ss)
}

// passwordIs returns a check of a plain password, for firstFactor.
func (u *user) passwordIs(password string) func() bool {
	return func() bool { return hmac.Equal([]byte(password), []byte(u.Password)) }
}

// findOrRefuse returns a user, or the pool's error for unknown users.
func (s *Server) findOrRefuse(name string) (*user, error) {
	u := s.find(name)
	switch {
	case u != nil:
		return u, nil
	case s.set.hideUnknown:
		return nil, notAuthorized(badPassword)
	}
	return nil, apiError{"UserNotFoundException", "User does not exist."}
}

// findOrFake returns a user. If there is none and the pool hides that, it returns a fake user,
// whose sign-in always fails at the password.
func (s *Server) findOrFake(name string) (*user, error) {
	if u := s.find(name); u == nil && s.set.hideUnknown {
		return s.fakeUser(name), nil
	}
	return s.findOrRefuse(name)
}

// firstFactor checks a password with good, and applies the lockout and the account's state.
func (s *Server) firstFactor(u *user, good func() bool) error {
	now := s.now()
	if u.Status == ResetRequired {
		return apiError{"PasswordResetRequiredException", "Password reset required for the user"}
	}
	if u.lock.locked(now) {
		return notAuthorized("Password attempts exceeded")
	}
	if !good() {
		u.lock.fail(now)
		return notAuthorized(badPassword)
	}
	u.lock = lockout{}
	if s.temporaryExpired(u) {
		return notAuthorized("Temporary password has expired and must be reset by an administrator.")
	}
	return checkAccount(u)
}

// checkAccount returns an error if the account may not sign in or refresh.
func checkAccount(u *user) error {
	if u.Disabled {
		return notAuthorized("User is disabled.")
	}
	if u.Status == Unconfirmed {
		return apiError{"UserNotConfirmedException", "User is not confirmed."}
	}
	return nil
}
