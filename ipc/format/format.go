// Package format renders a token for each kind of consumer. To add a format, add one
// entry to the table.
//
//	body, err := format.Render("curl", token, time.Now())
//
// The formats are:
//
//	token    the ID token                     the default for Accept: text/plain
//	header   Authorization: Bearer <token>    for curl -H @file
//	curl     oauth2-bearer = "<token>"        for curl -K
//	json     a flat object of strings         the default otherwise
//	env      KYC_TOKEN=…, KYC_API_URL=… and KYC_TOKEN_EXPIRES_AT=…, quoted for a
//	         shell if they have to be
//	k8s      a Kubernetes ExecCredential, client.authentication.k8s.io/v1
//	google   the answer to a Google auth library's executable-sourced credential
//	claims   what the token says, as JSON and without the token
//	aws      AWS credentials instead of the token, as an AWS SDK expects of a
//	         credential_process; a Kyc-Environment header names their environment
//
// Each ends with a newline. The formats env, k8s and google report the end of the token a
// minute early (or half of the remaining life, if that is less), because the tools that read them
// use a token up to the second that they are told. An API key does not expire: its
// expires_at and expires_in in json, and KYC_TOKEN_EXPIRES_AT, are empty; k8s and google
// leave theirs out.
//
// Package ipc chooses the format of an answer, and package helper uses the same renderers
// for the protocols of credential helpers.
package format

import (
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A Format is a way to write a token.
type Format struct {
	Name      string
	MediaType string
	// Render writes the token as it is at now, and a newline. It is nil for a format that
	// has no token: of AWS credentials, and of claims.
	Render func(t agent.Token, now time.Time) string
	// RenderClaims writes what the token says, without the token; nil for all formats but one.
	RenderClaims func(t agent.Token) (string, error)
	// RenderAccess writes the access token, too, or instead; nil for a format that has no
	// place for it. An access token can change the account, so it is no token for requests.
	RenderAccess func(t agent.Token, now time.Time) string
	// RenderError writes an error for a consumer that looks at the body only. If it is
	// nil, errors are problems, as for all other calls.
	RenderError func(e *agent.Error) []byte
	// Timeless is set if Render writes the same at any time, so that its text can be kept.
	Timeless bool
	// ForTool is set for the format of a tool that gives up after a few seconds.
	ForTool bool
}

// formats lists every format, in the order in which error messages name them.
var formats = []Format{
	{Name: "token", MediaType: wire.MediaText, Render: renderToken, RenderAccess: renderAccessToken, Timeless: true},
	{Name: "header", MediaType: wire.MediaText, Render: renderHeader, Timeless: true},
	{Name: "curl", MediaType: wire.MediaText, Render: renderCurl, RenderError: renderCurlError, Timeless: true},
	{Name: "json", MediaType: wire.MediaJSON, Render: renderJSON, RenderAccess: renderJSONWithAccess},
	{Name: "env", MediaType: wire.MediaText, Render: renderEnv},
	{Name: "k8s", MediaType: wire.MediaJSON, Render: renderK8s, ForTool: true},
	{Name: "google", MediaType: wire.MediaJSON, Render: renderGoogle, RenderError: renderGoogleError, ForTool: true},
	{Name: "claims", MediaType: wire.MediaJSON, RenderClaims: renderClaims},
	{Name: "aws", MediaType: wire.MediaJSON},
}

// Names returns the formats that [Render] knows: those of a token.
func Names() []string {
	var names []string
	for _, f := range formats {
		if f.Render != nil {
			names = append(names, f.Name)
		}
	}
	return names
}

// AllNames returns the formats of a token, of its claims and of AWS credentials.
func AllNames() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return names
}

// ByName returns the format called name. The error is a CodeUsage.
func ByName(name string) (*Format, error) {
	for i := range formats {
		if formats[i].Name == name {
			return &formats[i], nil
		}
	}
	return nil, unknownFormat(name, AllNames())
}

// Render writes t in the format called name, as GET /v1/token does at now, with a newline
// at its end. The error is a CodeUsage for an unknown format, and a CodeInternal for a
// token that no header could carry.
func Render(name string, t agent.Token, now time.Time) ([]byte, error) {
	f, err := ByName(name)
	if err != nil || f.Render == nil {
		return nil, unknownFormat(name, Names())
	}
	if err := wire.CheckToken(t); err != nil {
		return nil, err
	}
	return []byte(f.Render(t, now)), nil
}

func unknownFormat(name string, known []string) error {
	return wire.UnknownError("unknown format %s; known: %s", wire.Quote(name), strings.Join(known, ", "))
}

func renderToken(t agent.Token, _ time.Time) string { return t.IDToken.Reveal() + "\n" }

func renderAccessToken(t agent.Token, _ time.Time) string { return t.AccessToken.Reveal() + "\n" }

func renderHeader(t agent.Token, _ time.Time) string {
	return "Authorization: Bearer " + t.IDToken.Reveal() + "\n"
}

// renderCurl quotes for a curl configuration file, where \\ and \" are the escapes that
// matter (curl(1), --config).
func renderCurl(t agent.Token, _ time.Time) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(t.IDToken.Reveal())
	return `oauth2-bearer = "` + escaped + "\"\n"
}

// renderCurlError writes a curl configuration that allows no protocol at all: curl then
// sends nothing and fails. With an empty one it would send the request without a token.
func renderCurlError(e *agent.Error) []byte {
	return []byte("# " + e.Error() + "\nproto = \"-all\"\n")
}

func renderJSON(t agent.Token, now time.Time) string { return string(wire.Encode(bodyOf(t, now))) }

func renderJSONWithAccess(t agent.Token, now time.Time) string {
	body := bodyOf(t, now)
	body.AccessToken = t.AccessToken.Reveal()
	return string(wire.Encode(body))
}

// bodyOf makes one line of the texts for a person: kyc-token prints no other.
func bodyOf(t agent.Token, now time.Time) wire.TokenBody {
	body := wire.TokenBody{
		Token: t.IDToken.Reveal(), TokenType: "Bearer", Environment: t.Environment, APIURL: t.APIURL,
		User: sanitize.OneLine(t.User), Subject: sanitize.OneLine(t.Subject),
	}
	if !t.ExpiresAt.IsZero() {
		body.ExpiresAt = wire.RFC3339(t.ExpiresAt)
		body.ExpiresIn = strconv.FormatInt(int64(max(0, left(t, now))/time.Second), 10)
	}
	return body
}
