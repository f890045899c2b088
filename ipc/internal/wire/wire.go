// Package wire holds what the two ends of the agent's socket agree on: host, media types,
// headers, bodies and problems, and which status goes with which code.
//
//	wire.Encode(wire.LoginBody{State: wire.StateDone})
//	wire.NewProblem(wire.StatusOf(e.Code), e)
//
// Package ipc describes the protocol itself.
package wire

import (
	"encoding/json"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// Host is the host of every request to the agent itself. It is not a name in any DNS.
const Host = "kyc-agent"

// MaxBody is the largest body, in bytes, of a request to the agent itself.
const MaxBody = 64 << 10

// Media types of bodies. MediaBytes is the request of a credential helper: what the tool
// wrote, unchanged.
const (
	MediaJSON    = "application/json"
	MediaProblem = "application/problem+json"
	MediaText    = "text/plain; charset=utf-8"
	MediaBytes   = "application/octet-stream"
)

// HeaderPrefix begins the name of every header that only the agent may set.
const HeaderPrefix = "Kyc-"

// Headers of answers.
const (
	// HeaderError is the code of an error of the agent itself. No answer that comes from
	// the API has it.
	HeaderError = "Kyc-Error"
	// HeaderVersion is the agent's version.
	HeaderVersion = "Kyc-Version"
	// HeaderWarning is an [agent.Token]'s Warning, in any format.
	HeaderWarning = "Kyc-Warning"
	// HeaderEnvironment names the environment of an answer whose body has no place for it.
	HeaderEnvironment = "Kyc-Environment"
	// HeaderUser is an [agent.Token]'s User, in UTF-8, in any format.
	HeaderUser = "Kyc-User"
)

// A TokenBody is format=json of GET /v1/token. All values are strings, because shell tools
// and Terraform's external data source take nothing else.
type TokenBody struct {
	Token       string `json:"token"`
	TokenType   string `json:"token_type"` // "Bearer"
	ExpiresAt   string `json:"expires_at"` // RFC 3339, UTC, whole seconds; empty for a token that does not expire
	ExpiresIn   string `json:"expires_in"` // seconds, rounded down; empty for a token that does not expire
	Environment string `json:"environment"`
	APIURL      string `json:"api_url"`
	User        string `json:"user"` // as in [agent.Token]; empty for an API key
	Subject     string `json:"sub"`
	AccessToken string `json:"access_token,omitempty"` // if it was asked for
}

// An AWSBody is format=aws of GET /v1/token: what an AWS SDK expects of a
// credential_process. Without Expiration the SDK would never ask again.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
type AWSBody struct {
	Version         int    `json:"Version"` // 1
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	SessionToken    string `json:"SessionToken"`
	Expiration      string `json:"Expiration"` // RFC 3339, UTC, whole seconds
}

// The states of a [LoginBody]. All other POSTs answer with StateDone.
const (
	StateDone      = "done"
	StateChallenge = "challenge"
	StateCancelled = "cancelled"
)

// A LoginBody answers POST /v1/login, /v1/account and /v1/login/{id}. With nothing but
// the state it answers the other POSTs and DELETE.
type LoginBody struct {
	State     string           `json:"state"`
	ID        string           `json:"id,omitempty"`
	Challenge *agent.Challenge `json:"challenge,omitempty"`
	ExpiresAt time.Time        `json:"expires_at,omitzero"`
}

// A RevokedBody answers DELETE /v1/approvals.
type RevokedBody struct {
	Revoked int `json:"revoked"`
}

// Encode renders v as JSON and a newline. It panics if v cannot be encoded, as no type of
// this project does.
func Encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// RFC3339 renders a time in UTC and whole seconds, and the zero time as "".
func RFC3339(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Truncate(time.Second).Format(time.RFC3339)
}

// CheckToken refuses a token that could end a header line and begin another one. A JWT
// cannot, so such a token is a bug.
func CheckToken(t agent.Token) error {
	if !FitsHeader(t.IDToken.Reveal()) || !t.AccessToken.IsZero() && !FitsHeader(t.AccessToken.Reveal()) {
		return &agent.Error{
			Code: agent.CodeInternal, Op: "token", Environment: t.Environment,
			Message: "the ID token is empty or has characters that no header can carry",
		}
	}
	return nil
}

// FitsHeader reports whether s is one word that a header can carry.
func FitsHeader(s string) bool {
	for i := range len(s) { // strings.ContainsFunc is 6 times as slow, and this runs over each token that is sent
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
