package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// A Service is a credential agent. *Agent is one in this process, and *ipc.Client is one
// behind a socket; agenttest.TestService holds both to the same behaviour.
//
// Every error is, or wraps, an [*Error]; its Code is the same on both sides of the socket.
type Service interface {
	// Token returns an ID token that is still valid for a while: see TokenRequest.
	// It never prompts. When a person has to sign in, the code is CodeLoginRequired.
	Token(ctx context.Context, req TokenRequest) (Token, error)
	// AWSCredentials returns AWS credentials made with the sign-in, if the environment
	// configures an identity pool or a role; if not, the code is CodeConfiguration. At least
	// 15 minutes are left of them, unless AWS issues shorter ones or cannot be reached. It
	// never prompts, and neither does Token.
	AWSCredentials(ctx context.Context, req TokenRequest) (AWSCredentials, error)
	// Login signs in. ask answers Cognito's challenges (MFA codes, a new password); an error
	// from ask cancels the sign-in, and nothing is stored. The previous sign-in stays until
	// the new one is complete.
	Login(ctx context.Context, req LoginRequest, ask Prompter) error
	// Logout ends a sign-in: see LogoutRequest.
	Logout(ctx context.Context, req LogoutRequest) error
	// Recover recovers an account that cannot sign in, or changes its password. It prompts
	// through ask for anything else: the code that was sent, the new password.
	Recover(ctx context.Context, req RecoverRequest, ask Prompter) error
	// Status describes the agent and its environments. It answers from memory and contains
	// no secret.
	Status(ctx context.Context) (Status, error)
}

// A TokenRequest asks for an ID token, or for AWS credentials.
type TokenRequest struct {
	// Environment; empty means the agent's default.
	Environment string
	// MinValid, if above 0, is a hard promise: at least that much life is left, or there is
	// an error.
	MinValid time.Duration
	// Type is the token that is wanted.
	Type TokenType
	// User, if set, is who must be signed in: the user name as typed at the sign-in, the one
	// that Cognito has, or the `sub`. For anybody else the code is CodeDenied.
	User string
}

// A TokenType names a token of a sign-in.
type TokenType string

// The types.
const (
	TypeID     TokenType = ""       // the ID token
	TypeAccess TokenType = "access" // the access token as well, if the environment allows it: see Environment.HandOutAccessTokens
)

// A Token is an ID token for the Authorization header.
type Token struct {
	Environment string
	IDToken     Secret
	// AccessToken is set if TypeAccess was asked for.
	AccessToken Secret
	// User is who is signed in: the user name as typed at the sign-in, or the one that Cognito
	// has if that is not known. Subject is the `sub`. Both are empty for an API key.
	User, Subject string
	// ExpiresAt is on this machine's clock: the time the token was requested plus the
	// lifetime Cognito gave it. Zero for an API key, which never expires.
	ExpiresAt time.Time
	// APIURL is the URL of the environment's API.
	APIURL string
	// Warning is for a person: the sign-in ends soon. Usually empty.
	Warning string
	// Rendered is for what a server writes with the ID token. It is nil beside an access token.
	Rendered *Rendered
}

// A LoginRequest starts a sign-in.
type LoginRequest struct {
	Environment string // empty means the agent's default
	Username    string
	Password    Secret
	// APIKey, if set, is stored instead of a sign-in; Username and Password are empty then.
	// It is one of the KYC API's service keys and begins with "sk_".
	APIKey Secret
	// For, if above 0, is how long the sign-in is to last: then it is revoked and forgotten.
	For time.Duration
	// RedirectURI, if set, makes it a sign-in with a browser: it is the one of the
	// environment's RedirectURIs to which the browser returns. Username may then be set for the
	// sign-in page to suggest. The challenge is ChallengeBrowser.
	RedirectURI string
	// Device is set by the agent: how the user pool remembers this machine since the
	// previous sign-in.
	Device Device
}

// A LogoutRequest ends the sign-in of an environment.
type LogoutRequest struct {
	Environment string // empty means the agent's default
	Scope       LogoutScope
}

// A LogoutScope is how much a Logout ends. The sign-in here is deleted in any case.
type LogoutScope string

// The scopes.
const (
	LogoutHere       LogoutScope = ""            // this sign-in, revoked at Cognito, best effort
	LogoutLocal      LogoutScope = "local"       // this sign-in; Cognito is not called
	LogoutAllDevices LogoutScope = "all-devices" // every sign-in of the user, everywhere; an error if Cognito did not do it
)

// A RecoverRequest says what to do about an account.
type RecoverRequest struct {
	Environment string // empty means the agent's default
	Action      RecoverAction
	Username    string
	// Password is the current one, for RecoverChange; otherwise empty.
	Password Secret
}

// A RecoverAction is something to do about an account.
type RecoverAction string

// The actions.
const (
	RecoverReset   RecoverAction = "reset-password"  // Cognito sends a code, which allows a new password
	RecoverChange  RecoverAction = "change-password" // the current password is replaced
	RecoverConfirm RecoverAction = "confirm"         // the code that was sent confirms a new account
	RecoverResend  RecoverAction = "resend-code"     // Cognito sends that code again
)

// A Challenge is a question Cognito asks before it signs a user in.
type Challenge struct {
	Environment string  `json:"environment"`
	Name        string  `json:"name"`              // Cognito's ChallengeName: "SOFTWARE_TOKEN_MFA"
	Prompt      string  `json:"prompt"`            // one line for the person: "Code from your authenticator app"
	Fields      []Field `json:"inputs"`            // what to answer, in order
	Problem     string  `json:"problem,omitempty"` // why the previous answer was refused; empty at first
	// TOTPURL is the otpauth:// URL of MFA_SETUP, for a QR code, and TOTPSecret the secret
	// in it, for typing. Both are for the person only, and must not be logged.
	TOTPURL    string `json:"totp_url,omitempty"`
	TOTPSecret string `json:"totp_secret,omitempty"`
	// BrowserURL is the page of ChallengeBrowser. It is for this person's browser only, and must
	// not be logged: who has it can answer the challenge with a sign-in of another user.
	BrowserURL string `json:"browser_url,omitempty"`
}

// ChallengeBrowser is the name of the challenge of a sign-in with a browser. Its answer,
// FieldCallback, is the whole address to which the browser returned from Challenge.BrowserURL.
const (
	ChallengeBrowser = "BROWSER"
	FieldCallback    = "callback_url"
)

// A Field is one field of a challenge's answer.
type Field struct {
	Name   string `json:"name"`   // the key in Answers
	Label  string `json:"label"`  // "New password"
	Secret bool   `json:"secret"` // do not echo
	// Given says that the previous answer was refused for another field: this one counts as
	// before if it is left out.
	Given bool `json:"given,omitempty"`
}

// Answers maps the Name of a Field to what the person typed.
type Answers map[string]Secret

// A Prompter puts a challenge to a person. It returns an error if they give up.
type Prompter func(ctx context.Context, c Challenge) (Answers, error)

// A State is the state of an environment's sign-in. The package comment has the transitions.
type State string

// The states.
const (
	StateUnknown    State = "unknown"    // the store has not been read yet
	StateAbsent     State = "absent"     // no sign-in is stored
	StateIdle       State = "idle"       // a refresh token, but no valid ID token
	StateFresh      State = "fresh"      // a valid ID token in memory
	StateRefreshing State = "refreshing" // a refresh is running
	StateUnsaved    State = "unsaved"    // the newest refresh token is in memory only
	StateRejected   State = "rejected"   // Cognito refused the refresh token: sign in again
	StateLocked     State = "locked"     // the agent is locked with a passphrase
)

// Status describes the agent and its environments.
type Status struct {
	Version       string    `json:"version"`
	PID           int       `json:"pid"`
	StartedAt     time.Time `json:"started_at"`
	UptimeSeconds int64     `json:"uptime_seconds"`
	// Images is how many images of the process came before this one: it executes itself anew
	// for an upgrade, a lock and an unlock, and keeps its process id. ImageError is why the last
	// attempt failed. They are the daemon's, as are Sinks.
	Images             int                 `json:"images,omitempty"`
	ImageError         string              `json:"image_error,omitempty"`
	DefaultEnvironment string              `json:"default_environment"`
	Store              store.Info          `json:"store"`
	Environments       []EnvironmentStatus `json:"environments"` // in ascending order of name
	// Sinks are the token files, in the order in which they are configured, and after them
	// those that could not be removed when they were not configured any more. An Agent leaves
	// them empty: the daemon, which writes the files, adds them to the status it serves. They
	// are here so that every client of the socket gets them in the same answer.
	Sinks []SinkStatus `json:"sinks,omitempty"`
	// Lock is the daemon's, as are Sinks. It is nil for an agent that cannot be locked.
	Lock *LockStatus `json:"lock,omitempty"`
	// Sockets are the sockets with a policy, in ascending order of name. They are the daemon's,
	// as are Sinks.
	Sockets []SocketStatus `json:"sockets,omitempty"`
	// APIBudgets are what is known of the limits of the APIs. They are the daemon's, as are
	// Sinks.
	APIBudgets []APIBudget `json:"api_budgets,omitempty"`
	// Network is what decides whom the agent talks to and trusts, if it is set: "proxy",
	// "no_proxy", "ca_file" and "ca_dir". It is the daemon's, as are Sinks.
	Network map[string]string `json:"network,omitempty"`
	// Variables are the names of the daemon's variables that override keys of config.toml.
	Variables []string `json:"variables,omitempty"`
	// Audit is the daemon's, as are Sinks; an older one does not say.
	Audit *AuditStatus `json:"audit,omitempty"`
	// Hardening is the daemon's; an older one does not say.
	Hardening *Hardening `json:"hardening,omitempty"`
}

// AuditStatus describes the log of who got what.
type AuditStatus struct {
	Mode    string `json:"mode"`              // "on", "required" or "off"
	Lines   uint64 `json:"lines"`             // written since the start
	Dropped uint64 `json:"dropped,omitempty"` // events without a line since the start
	Error   string `json:"error,omitempty"`   // why it cannot be written now
}

// Hardening is how private the daemon's memory is to it, among the processes of its user.
type Hardening struct {
	// MemoryClosed is true if no other process of the user can read it, and no core dump has it.
	MemoryClosed bool `json:"memory_closed"`
	// MemoryClosedFromStart is true if that was so from the daemon's first instruction on, as
	// it is where the user cannot read the daemon's program.
	MemoryClosedFromStart bool `json:"memory_closed_from_start"`
}

// SocketStatus describes a socket with a policy.
type SocketStatus struct {
	Name string `json:"name"`
	// Paths are where it is. There is more than one if the service manager made another, and
	// none if it could not be made.
	Paths        []string `json:"paths"`
	Environments []string `json:"environments"`
	Allow        []Access `json:"allow"`
	Methods      []string `json:"methods,omitempty"`   // empty means all
	APIPaths     []string `json:"api_paths,omitempty"` // empty means all
	Rate         string   `json:"rate,omitempty"`
	Confirm      bool     `json:"confirm,omitempty"` // a person has to approve each program
	// RateRemaining is how many requests Rate leaves now; nil if there is no Rate.
	RateRemaining *int `json:"rate_remaining,omitempty"`
	// RateRefused is how many requests were refused because there were none left, since the
	// socket was made.
	RateRefused int64 `json:"rate_refused,omitempty"`
	// Error is why it is not there, or not in each of its places.
	Error string `json:"error,omitempty"`
}

// An APIBudget describes the limit of one API, which all clients and environments share, and
// what is left of it. Requests that do not go through the agent count only when an answer
// of the API tells of them.
type APIBudget struct {
	// API is the scheme, host and port of api_url, and Environments are those that have it.
	API          string   `json:"api"`
	Environments []string `json:"environments,omitempty"`
	// Rate is the api_rate that is in force, "900/5m"; empty if there is none.
	Rate string `json:"rate,omitempty"`
	// Limit is how many requests the API, or Rate, allows in a window, Remaining how many may
	// still be sent, and ResetsAt when there will be more. Limit is 0 if it is not known.
	Limit     int       `json:"limit"`
	Remaining int       `json:"remaining"`
	ResetsAt  time.Time `json:"resets_at,omitzero"`
	// SpentUntil is set while no request is sent.
	SpentUntil time.Time `json:"spent_until,omitzero"`
	Waiting    int       `json:"waiting"`   // requests that wait for their turn
	InFlight   int       `json:"in_flight"` // requests that the API has not answered
	// RefusedHere and RefusedByAPI count answers of 429 since the start: those that the agent
	// gave without a call, and the API's own.
	RefusedHere  int `json:"refused_here"`
	RefusedByAPI int `json:"refused_by_api"`
}

// BrowserSignIn describes how an environment's users sign in with a browser.
type BrowserSignIn struct {
	// Default says that it is the way of this environment: auth_flow is "browser".
	Default bool `json:"default,omitempty"`
	// RedirectURIs are those of the [Environment].
	RedirectURIs []string `json:"redirect_uris"`
	// LogoutURL ends the browser's own session, and returns to the first of RedirectURIs.
	LogoutURL string `json:"logout_url"`
}

// SinkStatus describes one token file. The times are left out while there is no file.
type SinkStatus struct {
	Path        string    `json:"path"`
	Environment string    `json:"environment"`
	Format      string    `json:"format"`
	WrittenAt   time.Time `json:"written_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"` // of the token in it; left out for an API key
	// Error is why there is no file, or why its token is not as fresh as it should be.
	Error string `json:"error,omitempty"`
	// Left has a line for each file that still holds a token, or may, although there should
	// be none: what it is, why, and what to do.
	Left []string `json:"left,omitempty"`
}

// FleetStatus describes what the agents of a fleet share of one environment.
type FleetStatus struct {
	Revision int64  `json:"revision"`             // of the newest record that this agent has seen
	Writer   string `json:"written_by"`           // the agent that wrote it
	Holder   string `json:"refreshing,omitempty"` // the agent that refreshes now
	// Members are the agents that were seen to refresh since this one started.
	Members []string `json:"members"`
	// Pending is true while this agent has a newer refresh token than the fleet.
	Pending bool `json:"pending,omitempty"`
	// Error is why the fleet's store cannot be used; ErrorSince is since when.
	Error      string    `json:"error,omitempty"`
	ErrorSince time.Time `json:"error_since,omitzero"`
}

// EnvironmentStatus describes the sign-in of one environment. Times that do not apply are
// left out.
type EnvironmentStatus struct {
	Name   string `json:"name"`
	APIURL string `json:"api_url"`
	// AllowedHosts are those of the [Environment].
	AllowedHosts []string `json:"allowed_hosts,omitempty"`
	// Endpoints are the servers that are not AWS's own, by their keys in config.toml:
	// "endpoint", "issuer", "jwks_url", "aws_endpoint" and "domain". The daemon adds them, as it does
	// Sinks.
	Endpoints map[string]string `json:"endpoints,omitempty"`
	// NeedsRestart are the changes that the last reload has not taken, by the same keys: a
	// password from a file goes only where it went at the start. The daemon adds them, too.
	NeedsRestart map[string]string `json:"needs_restart,omitempty"`
	// Browser describes the sign-in with a browser; nil if there is none.
	Browser    *BrowserSignIn `json:"browser,omitempty"`
	State      State          `json:"state"`
	User       string         `json:"user,omitempty"`    // as Token has it
	Subject    string         `json:"subject,omitempty"` // the `sub`
	SignedInAt time.Time      `json:"signed_in_at,omitzero"`
	// SignInEndsAt is when the refresh token expires, provided that the configured
	// refresh_token_validity is right.
	SignInEndsAt time.Time `json:"sign_in_ends_at,omitzero"`
	// Warning says that SignInEndsAt is near.
	Warning string `json:"warning,omitempty"`
	// Confirm is true if a person has to approve each program that uses the sign-in. The daemon
	// sets it, which asks.
	Confirm bool `json:"confirm,omitempty"`
	// APIKey is true if an API key is stored instead of a sign-in.
	APIKey bool `json:"api_key,omitempty"`
	// Unattended is true if the agent signs in by itself.
	Unattended  bool      `json:"unattended,omitempty"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`   // of the ID token in memory
	NextRefresh time.Time `json:"next_refresh,omitzero"` // when it is due; it does not happen while no token is in demand
	// TokenLifeSeconds is the lifetime of the ID token in memory (exp − iat).
	TokenLifeSeconds int64 `json:"token_life_seconds,omitempty"`
	Refreshes        int   `json:"refreshes"` // successful ones since the sign-in or the start
	// RefreshFailures counts the failed ones.
	RefreshFailures int `json:"refresh_failures,omitempty"`
	// Rotated is true if Cognito has replaced the refresh token of this sign-in: the app
	// client has refresh token rotation enabled.
	Rotated bool `json:"rotated,omitempty"`
	// Degraded is true if the last refresh failed for a reason that may be temporary.
	Degraded    bool      `json:"degraded"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Fleet is set if the sign-in is shared with other agents.
	Fleet *FleetStatus `json:"fleet,omitempty"`
	// AWSExpiresAt is when the AWS credentials in memory end, as AWSCredentials reports it.
	AWSExpiresAt time.Time `json:"aws_expires_at,omitzero"`
	// AWSLastError is why there are no newer ones; it may be temporary.
	AWSLastError   string    `json:"aws_last_error,omitempty"`
	AWSLastErrorAt time.Time `json:"aws_last_error_at,omitzero"`
	// SkewSeconds is how far Cognito's clock is ahead of this machine's.
	SkewSeconds float64 `json:"skew_seconds"`
}
