package format

import (
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// early is how long before its end a token is reported to end: tools keep one until that
// very second, and the request that they then send needs time to arrive.
const early = time.Minute

// left returns the remaining life of t. Round(0) drops the monotonic reading, which stands
// still while the machine sleeps.
func left(t agent.Token, now time.Time) time.Duration { return t.ExpiresAt.Round(0).Sub(now.Round(0)) }

// ReportedEnd returns when a tool should ask again: a minute before t's end, or at half of
// the remaining life where that is later. It is the zero time for a token that does not
// expire.
func ReportedEnd(t agent.Token, now time.Time) time.Time {
	if t.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return t.ExpiresAt.Add(-max(0, min(early, left(t, now)/2)))
}

// A Variable is one of a program's environment.
type Variable struct{ Name, Value string }

// Variables returns the variables in which a program finds the token. For a token that
// does not expire KYC_TOKEN_EXPIRES_AT is there, and empty: without it, an older value
// would seem to belong to this token.
func Variables(t agent.Token, now time.Time) []Variable {
	return []Variable{
		{"KYC_TOKEN", t.IDToken.Reveal()},
		{"KYC_API_URL", t.APIURL},
		{"KYC_TOKEN_EXPIRES_AT", wire.RFC3339(ReportedEnd(t, now))},
	}
}

func renderEnv(t agent.Token, now time.Time) string {
	var b strings.Builder
	for _, v := range Variables(t, now) {
		value := v.Value
		// A reader that is not a shell, such as Docker's --env-file, takes quotes for a
		// part of the value. So a value that needs none has none.
		if value != "" {
			value = shellquote.Quote(value)
		}
		b.WriteString(v.Name + "=" + value + "\n")
	}
	return b.String()
}

// What an ExecCredential says of itself, in the version that current clients speak.
const (
	ExecCredentialKind = "ExecCredential"
	ExecCredentialV1   = "client.authentication.k8s.io/v1"
)

// execCredential answers a Kubernetes client: client.authentication.k8s.io/v1,
// ExecCredential. Without expirationTimestamp the client keeps the token as long as it
// runs.
type execCredential struct {
	APIVersion string               `json:"apiVersion"`
	Kind       string               `json:"kind"` // ExecCredentialKind
	Status     execCredentialStatus `json:"status"`
}

type execCredentialStatus struct {
	Token               string `json:"token"`
	ExpirationTimestamp string `json:"expirationTimestamp,omitempty"`
}

func renderK8s(t agent.Token, now time.Time) string {
	return RenderExecCredential(ExecCredentialV1, t, now)
}

// RenderExecCredential is the format k8s for a client that speaks another version.
func RenderExecCredential(version string, t agent.Token, now time.Time) string {
	return string(wire.Encode(execCredential{
		APIVersion: version, Kind: ExecCredentialKind,
		Status: execCredentialStatus{Token: t.IDToken.Reveal(), ExpirationTimestamp: wire.RFC3339(ReportedEnd(t, now))},
	}))
}

// googleBody answers a Google auth library's executable-sourced credential
// (google.auth.pluggable). The library requires expiration_time only if it keeps the
// answer in a file, so a token that does not expire has none.
type googleBody struct {
	Version        int    `json:"version"` // 1
	Success        bool   `json:"success"`
	TokenType      string `json:"token_type,omitempty"`
	IDToken        string `json:"id_token,omitempty"`
	ExpirationTime int64  `json:"expiration_time,omitempty"` // Unix seconds
	Code           string `json:"code,omitempty"`            // of a failure: an HTTP status, as in Google's own example
	Message        string `json:"message,omitempty"`
}

func renderGoogle(t agent.Token, now time.Time) string {
	body := googleBody{
		Version: 1, Success: true, TokenType: "urn:ietf:params:oauth:token-type:id_token", IDToken: t.IDToken.Reveal(),
	}
	if end := ReportedEnd(t, now); !end.IsZero() {
		body.ExpirationTime = end.Unix()
	}
	return string(wire.Encode(body))
}

func renderGoogleError(e *agent.Error) []byte {
	return wire.Encode(googleBody{Version: 1, Code: strconv.Itoa(wire.StatusOf(e.Code)), Message: e.Error()})
}
