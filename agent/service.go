package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// Service is what a credential agent does. *Agent does it in this process and
// *ipc.Client over the socket; agenttest.TestService holds both to the same behaviour.
//
// Every error is, or wraps, an [*Error]; its Code is the same on both sides.
type Service interface {
	// Token returns an ID token that is still valid for a while: see TokenRequest.
	// It never prompts. When a person has to sign in, the code is CodeLoginRequired.
	Token(ctx context.Context, req TokenRequest) (Token, error)
	// AWSCredentials returns AWS credentials made with the sign-in, by what the environment
	// has for that; where it has nothing, the code is CodeConfiguration. They have 15
	// minutes left or more, unless AWS gives shorter ones or cannot be reached. It never
	// prompts, as Token does not.
	AWSCredentials(ctx context.Context, req TokenRequest) (AWSCredentials, error)
	// Login signs in. ask answers Cognito's challenges (MFA codes, a new password);
	// an error from ask ends the sign-in, and nothing is kept. A sign-in that was
	// there before stays until the new one is complete.
	Login(ctx context.Context, req LoginRequest, ask Prompter) error
	// Logout ends a sign-in: see LogoutRequest.
	Logout(ctx context.Context, req LogoutRequest) error
	// Recover mends an account that cannot sign in, or changes its password. ask is
	// put what has to be known besides: the code that was sent, the new password.
	Recover(ctx context.Context, req RecoverRequest, ask Prompter) error
	// Status tells what the agent holds. It answers from memory and has no secret in it.
	Status(ctx context.Context) (Status, error)
}

// A TokenRequest asks for an ID token, or for AWS credentials.
type TokenRequest struct {
	// Environment; empty means the agent's default.
	Environment string
	// MinValid, when above 0, is a hard promise: at least that much life left, or
	// an error.
	MinValid time.Duration
}

// A Token is an ID token for the Authorization header.
type Token struct {
	Environment string
	IDToken     Secret
	// ExpiresAt is on this machine's clock: the time the token was asked for plus
	// the life Cognito gave it. Zero for an API key, which has no end.
	ExpiresAt time.Time
	// APIURL is where the environment's API is.
	APIURL string
	// Warning is for a person: the sign-in ends soon. Mostly empty.
	Warning string
}

// A LoginRequest starts a sign-in.
type LoginRequest struct {
	Environment string // empty means the agent's default
	Username    string
	Password    Secret
	// APIKey, when set, is kept in the place of a sign-in; Username and Password are
	// empty then. It is one of the KYC API's service keys and begins with "sk_".
	APIKey Secret
	// Device is filled in by the agent: what the pool remembers this machine by from
	// the user's sign-in before.
	Device Device
}

// A LogoutRequest ends the sign-in of an environment.
type LogoutRequest struct {
	Environment string // empty means the agent's default
	Scope       LogoutScope
}

// A LogoutScope is how much a Logout ends. The sign-in here is forgotten in any case.
type LogoutScope string

// The scopes.
const (
	LogoutHere       LogoutScope = ""            // this sign-in, revoked at Cognito, best effort
	LogoutLocal      LogoutScope = "local"       // this sign-in; Cognito is not asked
	LogoutAllDevices LogoutScope = "all-devices" // every sign-in of the user, everywhere; an error when Cognito did not do it
)

// A RecoverRequest says what to do about an account.
type RecoverRequest struct {
	Environment string // empty means the agent's default
	Action      RecoverAction
	Username    string
	// Password is the present one, for RecoverChange; else empty.
	Password Secret
}

// A RecoverAction is something to do about an account.
type RecoverAction string

// The actions.
const (
	RecoverReset   RecoverAction = "reset-password"  // a code is sent, and with it a new password set
	RecoverChange  RecoverAction = "change-password" // the present password is replaced
	RecoverConfirm RecoverAction = "confirm"         // a new account is confirmed with the code that was sent
	RecoverResend  RecoverAction = "resend-code"     // that code is sent again
)

// A Challenge is a question Cognito asks before it signs a user in.
type Challenge struct {
	Environment string  `json:"environment"`
	Name        string  `json:"name"`              // Cognito's ChallengeName: "SOFTWARE_TOKEN_MFA"
	Prompt      string  `json:"prompt"`            // one line for the person: "Code from your authenticator app"
	Fields      []Field `json:"inputs"`            // what to answer, in order
	Problem     string  `json:"problem,omitempty"` // why the answer before was refused; empty at first
	// TOTPURL is the otpauth:// URL of MFA_SETUP, for a QR code, and TOTPSecret the
	// secret in it, for typing. They are for the person's eyes, and for no log.
	TOTPURL    string `json:"totp_url,omitempty"`
	TOTPSecret string `json:"totp_secret,omitempty"`
}

// A Field is one field of a challenge's answer.
type Field struct {
	Name   string `json:"name"`   // the key in Answers
	Label  string `json:"label"`  // "New password"
	Secret bool   `json:"secret"` // do not echo
}

// Answers maps an Input's Name to what the person typed.
type Answers map[string]Secret

// A Prompter puts a challenge to a person. It returns an error when they give up.
type Prompter func(ctx context.Context, c Challenge) (Answers, error)

// A State is where a session is in its life.
type State string

// The states.
const (
	StateUnknown    State = "unknown"    // the store has not been read yet
	StateAbsent     State = "absent"     // no sign-in is kept
	StateIdle       State = "idle"       // a refresh token, and no ID token yet
	StateFresh      State = "fresh"      // an ID token in memory
	StateRefreshing State = "refreshing" // a refresh is in flight
	StateUnsaved    State = "unsaved"    // the newest refresh token is in memory only
	StateRejected   State = "rejected"   // Cognito refused the refresh token: sign in again
)

// Status tells what the agent holds.
type Status struct {
	Version            string              `json:"version"`
	PID                int                 `json:"pid"`
	StartedAt          time.Time           `json:"started_at"`
	UptimeSeconds      int64               `json:"uptime_seconds"`
	DefaultEnvironment string              `json:"default_environment"`
	Store              store.Info          `json:"store"`
	Environments       []EnvironmentStatus `json:"environments"` // in ascending order of name
	// Sinks are the token files, in the order they are configured in; the agent itself
	// knows of none.
	Sinks []SinkStatus `json:"sinks,omitempty"`
}

// SinkStatus tells where one token file is. The times are left out while it is not there.
type SinkStatus struct {
	Path        string    `json:"path"`
	Environment string    `json:"environment"`
	Format      string    `json:"format"`
	WrittenAt   time.Time `json:"written_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"` // of the token in it; left out for an API key
	// Error is why the file is not there, or not as fresh as it should be.
	Error string `json:"error,omitempty"`
}

// EnvironmentStatus tells where one sign-in is. Times that do not apply are left out.
type EnvironmentStatus struct {
	Name   string `json:"name"`
	APIURL string `json:"api_url"`
	// AllowedHosts are the environment's own, see [Environment].
	AllowedHosts []string  `json:"allowed_hosts,omitempty"`
	State        State     `json:"state"`
	User         string    `json:"user,omitempty"`
	SignedInAt   time.Time `json:"signed_in_at,omitzero"`
	// SignInEndsAt is when the refresh token ends, as far as the configured
	// refresh_token_validity is right.
	SignInEndsAt time.Time `json:"sign_in_ends_at,omitzero"`
	// Warning says that this is soon.
	Warning string `json:"warning,omitempty"`
	// APIKey says that an API key is kept and no sign-in.
	APIKey bool `json:"api_key,omitempty"`
	// Unattended says that the agent signs in by itself.
	Unattended  bool      `json:"unattended,omitempty"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`   // of the ID token in memory
	NextRefresh time.Time `json:"next_refresh,omitzero"` // when it is due; an idle agent may let it pass
	// TokenLifeSeconds is the whole life that Cognito gives an ID token (exp − iat), as
	// the one in memory has it.
	TokenLifeSeconds int64 `json:"token_life_seconds,omitempty"`
	Refreshes        int   `json:"refreshes"` // successful ones since the sign-in or the start
	// RefreshFailures are the others.
	RefreshFailures int `json:"refresh_failures,omitempty"`
	// Rotated says that Cognito has replaced the refresh token of this sign-in: the app
	// client has refresh token rotation on.
	Rotated bool `json:"rotated,omitempty"`
	// Degraded says that the last refresh failed for a reason that may pass.
	Degraded    bool      `json:"degraded"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// AWSExpiresAt is when the AWS credentials in memory end, as far as others are told.
	AWSExpiresAt time.Time `json:"aws_expires_at,omitzero"`
	// AWSLastError is why there are no newer ones; it may pass.
	AWSLastError   string    `json:"aws_last_error,omitempty"`
	AWSLastErrorAt time.Time `json:"aws_last_error_at,omitzero"`
	// SkewSeconds is how far Cognito's clock is ahead of this machine's.
	SkewSeconds float64 `json:"skew_seconds"`
}
