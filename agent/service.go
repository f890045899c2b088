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
	// Login signs in. ask answers Cognito's challenges (MFA codes, a new password);
	// an error from ask ends the sign-in, and nothing is kept. A sign-in that was
	// there before stays until the new one is complete.
	Login(ctx context.Context, req LoginRequest, ask Asker) error
	// Logout revokes the sign-in at Cognito, best effort, and forgets it, always.
	Logout(ctx context.Context, environment string) error
	// Status tells what the agent holds. It answers from memory and has no secret in it.
	Status(ctx context.Context) (Status, error)
}

// A TokenRequest asks for an ID token.
type TokenRequest struct {
	// Environment; empty means the agent's default.
	Environment string
	// MinValid, when above 0, is a hard promise: a token with at least that much
	// life left, or an error.
	MinValid time.Duration
}

// A Token is an ID token for the Authorization header.
type Token struct {
	Environment string
	IDToken     Secret
	// ExpiresAt is on this machine's clock: the time the token was received plus
	// the life Cognito gave it.
	ExpiresAt time.Time
	// APIURL is where the environment's API is.
	APIURL string
}

// A LoginRequest starts a sign-in.
type LoginRequest struct {
	Environment string // empty means the agent's default
	Username    string
	Password    Secret
}

// A Challenge is a question Cognito asks before it signs a user in.
type Challenge struct {
	Environment string  `json:"environment"`
	Name        string  `json:"name"`              // Cognito's ChallengeName: "SOFTWARE_TOKEN_MFA"
	Prompt      string  `json:"prompt"`            // one line for the person: "Code from your authenticator app"
	Inputs      []Input `json:"inputs"`            // what to answer, in order
	Problem     string  `json:"problem,omitempty"` // why the answer before was refused; empty at first
}

// An Input is one field of a challenge's answer.
type Input struct {
	Name   string `json:"name"`   // the key in Answers
	Label  string `json:"label"`  // "New password"
	Secret bool   `json:"secret"` // do not echo
}

// Answers maps an Input's Name to what the person typed.
type Answers map[string]Secret

// An Asker puts a challenge to a person. It returns an error when they give up.
type Asker func(ctx context.Context, c Challenge) (Answers, error)

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
}

// EnvironmentStatus tells where one sign-in is. Times that do not apply are left out.
type EnvironmentStatus struct {
	Name        string    `json:"name"`
	APIURL      string    `json:"api_url"`
	State       State     `json:"state"`
	User        string    `json:"user,omitempty"`
	SignedInAt  time.Time `json:"signed_in_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`   // of the ID token in memory
	NextRefresh time.Time `json:"next_refresh,omitzero"` // when it is due; an idle agent may let it pass
	Refreshes   int       `json:"refreshes"`             // successful ones since the start
	// Degraded says that the last refresh failed for a reason that may pass.
	Degraded    bool      `json:"degraded"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// SkewSeconds is how far Cognito's clock is ahead of this machine's.
	SkewSeconds float64 `json:"skew_seconds"`
}
