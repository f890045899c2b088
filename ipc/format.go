package ipc

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A format is a way to write a token.
type format struct {
	name      string
	mediaType string
	// render writes the token as it is at now, and a newline; nil means that the format
	// is one of AWS credentials.
	render func(t agent.Token, now time.Time) string
	// fail renders an error for a consumer that looks at the body alone; nil means
	// that errors are problems as everywhere.
	fail func(e *agent.Error) []byte
	// limit is how long the tool behind the format may wait; 0 means tokenTimeout.
	limit time.Duration
}

// formats lists every format; the order is the one that error messages name them in.
var formats = []format{
	{name: "token", mediaType: mediaText, render: renderToken},
	{name: "header", mediaType: mediaText, render: renderHeader},
	{name: "curl", mediaType: mediaText, render: renderCurl, fail: failCurl},
	{name: "json", mediaType: mediaJSON, render: renderJSON},
	{name: "env", mediaType: mediaText, render: renderEnv},
	{name: "k8s", mediaType: mediaJSON, render: renderK8s, limit: helperTimeout},
	{name: "google", mediaType: mediaJSON, render: renderGoogle, fail: failGoogle, limit: helperTimeout},
	{name: "aws", mediaType: mediaJSON},
}

// FormatNames lists the formats that [Render] knows.
func FormatNames() []string {
	var names []string
	for _, f := range formats {
		if f.render != nil {
			names = append(names, f.name)
		}
	}
	return names
}

// allFormats are those of tokens and those of AWS credentials.
func allFormats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Render writes t in a format, as GET /v1/token does at now, with a newline at its
// end. The error is a CodeUsage for an unknown format, and a CodeInternal for a
// token that no header could carry.
func Render(format string, t agent.Token, now time.Time) ([]byte, error) {
	f, ok := formatByName(format)
	if !ok || f.render == nil {
		return nil, unknownFormat(format, FormatNames())
	}
	if err := sendable(t); err != nil {
		return nil, err
	}
	return []byte(f.render(t, now)), nil
}

func unknownFormat(name string, known []string) error {
	return unknown("unknown format %s; known: %s", quoted(name), strings.Join(known, ", "))
}

func renderToken(t agent.Token, _ time.Time) string { return t.IDToken.Reveal() + "\n" }

func renderHeader(t agent.Token, _ time.Time) string {
	return "Authorization: Bearer " + t.IDToken.Reveal() + "\n"
}

func renderCurl(t agent.Token, _ time.Time) string {
	return "oauth2-bearer = " + curlQuote(t.IDToken.Reveal()) + "\n"
}

func renderJSON(t agent.Token, now time.Time) string {
	body := tokenBody{Token: t.IDToken.Reveal(), TokenType: "Bearer", Environment: t.Environment, APIURL: t.APIURL}
	if !t.ExpiresAt.IsZero() {
		body.ExpiresAt = rfc3339(t.ExpiresAt)
		body.ExpiresIn = strconv.FormatInt(int64(max(0, left(t, now))/time.Second), 10)
	}
	return string(encode(body))
}

// failCurl is a curl configuration that allows no protocol at all: curl then sends
// nothing and fails, where with an empty one it would send the request without a
// token.
func failCurl(e *agent.Error) []byte {
	return []byte("# " + e.Error() + "\nproto = \"-all\"\n")
}

// curlQuote quotes for a curl configuration file, where \\ and \" are the escapes
// that matter (curl(1), --config).
func curlQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func formatByName(name string) (format, bool) {
	for _, f := range formats {
		if f.name == name {
			return f, true
		}
	}
	return format{}, false
}

// formatFor picks the format of an answer to r.
func formatFor(r *http.Request, name string) (format, error) {
	if name == "" {
		name = "json"
		if wantsText(r.Header) {
			name = "token"
		}
	}
	f, ok := formatByName(name)
	if !ok {
		return format{}, unknownFormat(name, allFormats())
	}
	return f, nil
}

// requestedFormat is the format that a request for a token names, even one that is
// wrong in some other way.
func requestedFormat(r *http.Request) string {
	if r.URL.Path != "/v1/token" {
		return ""
	}
	return r.URL.Query().Get("format")
}

// wantsText reports whether Accept prefers text/plain to application/json. A
// wildcard is no wish.
func wantsText(h http.Header) bool {
	var text, json float64
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept"), ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		switch media {
		case "text/plain":
			text = max(text, quality(params))
		case mediaJSON, mediaProblem:
			json = max(json, quality(params))
		}
	}
	return text > json
}

func quality(params map[string]string) float64 {
	q, ok := params["q"]
	if !ok {
		return 1
	}
	f, err := strconv.ParseFloat(q, 64)
	if err != nil {
		return 0
	}
	return f
}

// quoted shows what a client sent, cut short.
func quoted(s string) string {
	return strconv.Quote(sanitize.Cut(s, 40))
}
