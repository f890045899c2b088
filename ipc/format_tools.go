package ipc

import (
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// early is how long before its end a token is reported to end: tools hold on to one
// until that very second, and the request they then send has a way to go.
const early = time.Minute

// left is the remaining life of t. Round(0) drops the monotonic reading, which
// stands still while the machine sleeps.
func left(t agent.Token, now time.Time) time.Duration { return t.ExpiresAt.Round(0).Sub(now.Round(0)) }

// reportedEnd is when a tool is to ask again: a minute before t's end, or at half of
// what is left where that is later. It is the zero time for a token without end.
func reportedEnd(t agent.Token, now time.Time) time.Time {
	if t.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return t.ExpiresAt.Add(-max(0, min(early, left(t, now)/2)))
}

// rfc3339 renders a time in UTC and whole seconds, and the zero time as nothing.
func rfc3339(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Truncate(time.Second).Format(time.RFC3339)
}

// A variable is one of a child process's environment.
type variable struct{ name, value string }

// variables are what a program finds the token in. KYC_TOKEN_EXPIRES_AT is empty for a
// token without end, and not left out: one that was set before would seem to be its.
func variables(t agent.Token, now time.Time) []variable {
	return []variable{
		{"KYC_TOKEN", t.IDToken.Reveal()},
		{"KYC_API_URL", t.APIURL},
		{"KYC_TOKEN_EXPIRES_AT", rfc3339(reportedEnd(t, now))},
	}
}

func renderEnv(t agent.Token, now time.Time) string {
	var b strings.Builder
	for _, v := range variables(t, now) {
		value := v.value
		// What reads such a file without a shell takes quotes for a part of the value,
		// so that what needs none has none: Docker's --env-file.
		if value != "" {
			value = shellquote.Quote(value)
		}
		b.WriteString(v.name + "=" + value + "\n")
	}
	return b.String()
}

// execCredential answers a Kubernetes client: client.authentication.k8s.io/v1,
// ExecCredential. Without expirationTimestamp it keeps the token as long as it runs.
type execCredential struct {
	APIVersion string               `json:"apiVersion"`
	Kind       string               `json:"kind"` // execCredentialKind
	Status     execCredentialStatus `json:"status"`
}

type execCredentialStatus struct {
	Token               string `json:"token"`
	ExpirationTimestamp string `json:"expirationTimestamp,omitempty"`
}

const (
	execCredentialKind = "ExecCredential"
	execCredentialV1   = "client.authentication.k8s.io/v1"
)

func renderK8s(t agent.Token, now time.Time) string {
	return renderExecCredential(execCredentialV1, t, now)
}

func renderExecCredential(version string, t agent.Token, now time.Time) string {
	return string(encode(execCredential{
		APIVersion: version, Kind: execCredentialKind,
		Status: execCredentialStatus{Token: t.IDToken.Reveal(), ExpirationTimestamp: rfc3339(reportedEnd(t, now))},
	}))
}

// googleBody answers a Google auth library's executable-sourced credential
// (google.auth.pluggable). It wants expiration_time only where the answer is kept in
// a file, so a token without end has none.
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
	if end := reportedEnd(t, now); !end.IsZero() {
		body.ExpirationTime = end.Unix()
	}
	return string(encode(body))
}

func failGoogle(e *agent.Error) []byte {
	return encode(googleBody{Version: 1, Code: strconv.Itoa(kindOf(e.Code).status), Message: e.Error()})
}
