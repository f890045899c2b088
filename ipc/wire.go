package ipc

import (
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// The host every request is for. It is no name in any DNS.
const host = "kyc-agent"

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
	mediaText    = "text/plain; charset=utf-8"
)

// headerError carries the code of an error of the agent's own. No answer that comes
// from the API has it.
const headerError = "Kyc-Error"

// headerVersion carries the agent's version, for a client of another one.
const headerVersion = "Kyc-Version"

// headerWarning carries an [agent.Token]'s Warning, in any format.
const headerWarning = "Kyc-Warning"

// headerEnvironment names the environment of an answer whose form has no place for it.
const headerEnvironment = "Kyc-Environment"

// tokenBody is format=json of GET /v1/token. All values are strings, because that
// is what shell tools and Terraform's external data source take.
type tokenBody struct {
	Token       string `json:"token"`
	TokenType   string `json:"token_type"` // "Bearer"
	ExpiresAt   string `json:"expires_at"` // RFC 3339, UTC, whole seconds; empty for a token without end
	ExpiresIn   string `json:"expires_in"` // seconds, rounded down; empty for a token without end
	Environment string `json:"environment"`
	APIURL      string `json:"api_url"`
}

// The states of a loginBody, and "done" of every other POST.
const (
	stateDone      = "done"
	stateChallenge = "challenge"
	stateCancelled = "cancelled"
)

// loginBody answers POST /v1/login, /v1/account and /v1/login/{id}; with no more than the
// state it answers the other POSTs and DELETE.
type loginBody struct {
	State     string           `json:"state"`
	ID        string           `json:"id,omitempty"`
	Challenge *agent.Challenge `json:"challenge,omitempty"`
	ExpiresAt time.Time        `json:"expires_at,omitzero"`
}

// problem is an RFC 9457 problem; detail and hint are an [agent.Error]'s Message and Hint.
type problem struct {
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Status      int        `json:"status"`
	Detail      string     `json:"detail"`
	Code        agent.Code `json:"code"`
	Environment string     `json:"environment,omitempty"`
	Hint        string     `json:"hint,omitempty"`
	// RetryAfter is in seconds and not rounded, as the Retry-After header is.
	RetryAfter float64 `json:"retry_after,omitempty"`
}
