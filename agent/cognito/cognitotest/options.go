package cognitotest

import (
	"io"
	"log"
	"slices"
	"time"
)

// An Option is an option of New: a [Setting], or one of [Now], [Pool] and [Address], which
// cannot be changed later.
type Option interface{ apply(*Server) }

// A Setting is an Option that [Server.Set] can change while the server runs.
type Setting func(*settings)

func (f Setting) apply(s *Server) { f(&s.set) }

type option func(*Server)

func (f option) apply(s *Server) { f(s) }

// settings are the pool's and the app clients' configuration.
type settings struct {
	idLifetime, accessLifetime, refreshLifetime, sessionLifetime time.Duration

	rotation        bool
	grace           time.Duration
	refusal         apiError // of REFRESH_TOKEN_AUTH while rotation is on
	flows           []string // nil: all
	secret          string
	hideUnknown     bool
	skew            time.Duration
	code            string
	foreignJWKS     bool
	noRevocation    bool
	withoutLifetime bool
	issuer          string // empty: Issuer()

	devices      DeviceMode
	deviceAndMFA bool
	firstFactors []string // of USER_AUTH; nil: all
	policy       PasswordPolicy
	attempts     int // allowed per hour

	redirectURIs, logoutURIs, scopes []string // of the domain
	codeLifetime                     time.Duration
	nonce                            string // that ID tokens have instead of the client's
	withoutRefreshToken              bool
}

func defaults() settings {
	return settings{
		idLifetime:      time.Hour,
		accessLifetime:  time.Hour,
		refreshLifetime: 30 * 24 * time.Hour,
		sessionLifetime: 3 * time.Minute,
		refusal:         apiError{Code: "NotAuthorizedException", Message: "Invalid Refresh Token."},
		hideUnknown:     true,
		code:            "123456",
		policy:          PasswordPolicy{MinLength: 8, Temporary: StandardPasswords().Temporary},
		attempts:        5,
		scopes:          []string{"openid", "email", "phone", "profile", adminScope},
		codeLifetime:    5 * time.Minute,
	}
}

// Set changes settings of the running server, for later calls.
func (s *Server) Set(settings ...Setting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range settings {
		f(&s.set)
	}
}

// Now sets the server's clock; the default is time.Now.
func Now(now func() time.Time) Option { return option(func(s *Server) { s.now = now }) }

// Pool names the pool and its first app client. The pool id must begin with the region and an
// underscore, as those of Cognito do: SRP hashes the part after the underscore.
func Pool(region, poolID, clientID string) Option {
	return option(func(s *Server) { s.Region, s.PoolID, s.ClientID = region, poolID, clientID })
}

// Address makes New listen on addr, such as "127.0.0.1:9229", instead of a free port.
func Address(addr string) Option { return option(func(s *Server) { s.addr = addr }) }

// IDTokenLifetime is exp−iat of ID tokens; 1 h by default. Cognito's minimum is 5 minutes.
func IDTokenLifetime(d time.Duration) Setting { return func(c *settings) { c.idLifetime = d } }

// AccessTokenLifetime is exp−iat of access tokens, and ExpiresIn; 1 h by default.
func AccessTokenLifetime(d time.Duration) Setting { return func(c *settings) { c.accessLifetime = d } }

// RefreshTokenLifetime is how long a sign-in can be refreshed; 30 days by default. It counts from
// the sign-in, which rotation does not extend, and applies to sign-ins made after the setting.
func RefreshTokenLifetime(d time.Duration) Setting {
	return func(c *settings) { c.refreshLifetime = d }
}

// SessionLifetime is how long a challenge waits for its answer; 3 minutes by default.
func SessionLifetime(d time.Duration) Setting { return func(c *settings) { c.sessionLifetime = d } }

// Rotation turns refresh token rotation on. A token that was replaced can be used again within
// grace, which Cognito limits to 60 s.
func Rotation(grace time.Duration) Setting {
	return func(c *settings) { c.rotation, c.grace = true, grace }
}

// NoRotation turns refresh token rotation off, which is the default.
func NoRotation() Setting { return func(c *settings) { c.rotation = false } }

// RotationRefusal sets the error of REFRESH_TOKEN_AUTH while rotation is on. AWS documents that
// the two are incompatible, but not the error code. The default is the worst case for a client:
// NotAuthorizedException "Invalid Refresh Token.", which looks like the end of the sign-in.
func RotationRefusal(code, message string) Setting {
	return func(c *settings) { c.refusal = apiError{Code: code, Message: message} }
}

// Flows names the flows that the app clients allow: "USER_PASSWORD_AUTH", "USER_SRP_AUTH",
// "USER_AUTH", "CUSTOM_AUTH", "REFRESH_TOKEN_AUTH". Without names all are allowed, which is the
// default. USER_AUTH accepts passwords even if the first two are not allowed.
func Flows(names ...string) Setting { return func(c *settings) { c.flows = slices.Clone(names) } }

// ClientSecret sets a secret of the app clients: SECRET_HASH is then required and checked. Once
// the pool has sent the user's real name (USER_ID_FOR_SRP or USERNAME in ChallengeParameters),
// the hash is over that name; before, over the name as the client sent it.
func ClientSecret(secret string) Setting { return func(c *settings) { c.secret = secret } }

// HideUnknownUsers is the pool's PreventUserExistenceErrors. If it is on, as by default here and
// in Cognito's console, an unknown user looks like a wrong password.
func HideUnknownUsers(on bool) Setting { return func(c *settings) { c.hideUnknown = on } }

// ClockSkew sets the server's clock wrong by d: ahead of the true time if d is positive. It
// affects the Date header and the times in tokens.
func ClockSkew(d time.Duration) Setting { return func(c *settings) { c.skew = d } }

// Code is the code in every SMS and e-mail; "123456" by default. With "" every message has a
// random code: see [Server.Messages].
func Code(code string) Setting { return func(c *settings) { c.code = code } }

// ForeignJWKS publishes, under the right key ids, keys that sign nothing.
func ForeignJWKS(on bool) Setting { return func(c *settings) { c.foreignJWKS = on } }

// Revocation is the app clients' EnableTokenRevocation, on by default. Off,
// RevokeToken answers UnsupportedOperationException.
func Revocation(on bool) Setting { return func(c *settings) { c.noRevocation = !on } }

// FirstFactors names the factors that USER_AUTH offers to users who have them: "PASSWORD",
// "PASSWORD_SRP", "EMAIL_OTP", "SMS_OTP", "WEB_AUTHN". Without names it offers all, which is
// the default.
func FirstFactors(names ...string) Setting {
	return func(c *settings) { c.firstFactors = slices.Clone(names) }
}

// AttemptLimit is how many times in an hour a user can request a password reset, or give a wrong
// code or password outside a sign-in; 5 by default. Cognito's limit is between 5 and 20 and
// depends on its assessment of the risk.
func AttemptLimit(n int) Setting { return func(c *settings) { c.attempts = n } }

// OmitLifetime leaves ExpiresIn and TokenType out of the answers, as some emulators do.
func OmitLifetime(on bool) Setting { return func(c *settings) { c.withoutLifetime = on } }

// TokenIssuer is the iss of tokens; with "" it is Issuer(), as by default. The JWK set stays where
// it is.
func TokenIssuer(iss string) Setting { return func(c *settings) { c.issuer = iss } }

// AddClient adds an app client, with the settings of the first.
func (s *Server) AddClient(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[id] = true
}

var discardLog = log.New(io.Discard, "", 0)
