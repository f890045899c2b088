// Package statustext has the words for what a daemon's status says, the same in every
// verb and log line: where sign-ins are kept, times and lengths of time, users, clocks.
package statustext

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

// Store says where sign-ins are kept: "in the keyring", "in memory".
func Store(i store.Info) string {
	text := map[string]string{
		"keyring": "in the keyring", "file": "in files", "memory": "in memory",
		"kubernetes": "in Kubernetes, shared with other machines", "postgres": "in PostgreSQL, shared with other machines",
	}[i.Kind]
	text = cmp.Or(text, "in "+sanitize.OneLine(i.Kind))
	if i.Detail != "" {
		text += " (" + sanitize.OneLine(i.Detail) + ")"
	}
	if !i.Lasting {
		text += ", only until the daemon stops"
	}
	return text
}

// User says who is signed in, and whether the agent signs in by itself.
func User(e agent.EnvironmentStatus) string {
	user := cmp.Or(sanitize.OneLine(e.User), "-")
	switch {
	case e.APIKey:
		return "api key"
	case e.Unattended && e.User == "":
		return "by itself"
	case e.Unattended:
		return user + " (by itself)"
	}
	return user
}

// Endpoints names the servers of an environment that are not AWS's own, or is "".
func Endpoints(e agent.EnvironmentStatus) string {
	return settings(e.Endpoints, []setting{
		{"endpoint", "endpoint"}, {"issuer", "issuer"}, {"jwks_url", "signing keys"}, {"aws_endpoint", "AWS endpoint"}, {"domain", "sign-in domain"},
	})
}

// NeedsRestart names the changes of an environment that need a restart, or is "".
func NeedsRestart(changes map[string]string) string {
	var all []setting
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		all = append(all, setting{key, sanitize.OneLine(key)})
	}
	return settings(changes, all)
}

// Network names the proxy and the CA certificates that variables set, or is "".
func Network(st agent.Status) string {
	return settings(st.Network, []setting{
		{"proxy", "proxy"}, {"no_proxy", "no proxy for"}, {"ca_file", "CA certificates in"}, {"ca_dir", "CA certificates below"},
	})
}

// Variables names the variables that override config.toml, or is "".
func Variables(st agent.Status) string { return sanitize.OneLine(strings.Join(st.Variables, ", ")) }

// APIBudget says what is left of an API's limit: "153 of 1000 requests left, more in 2m51s".
func APIBudget(b agent.APIBudget, now time.Time) string {
	var parts []string
	if b.Limit > 0 {
		left := fmt.Sprintf("%d of %d requests left", b.Remaining, b.Limit)
		if !b.ResetsAt.IsZero() {
			left += ", more " + Time(b.ResetsAt, now)
		}
		parts = append(parts, left)
	}
	if !b.SpentUntil.IsZero() {
		parts = append(parts, "the next is sent "+Time(b.SpentUntil, now))
	}
	if b.Rate != "" {
		parts = append(parts, "api_rate "+sanitize.OneLine(b.Rate))
	}
	if b.Waiting > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", b.Waiting))
	}
	if n := b.RefusedHere + b.RefusedByAPI; n > 0 {
		parts = append(parts, fmt.Sprintf("%d answered 429", n))
	}
	return strings.Join(parts, "; ")
}

// A setting is a key and the words before its value.
type setting struct{ key, words string }

// settings lists those of m that are known, in order. A newer daemon may have others.
func settings(m map[string]string, known []setting) string {
	var all []string
	for _, s := range known {
		if value := m[s.key]; value != "" {
			all = append(all, s.words+" "+sanitize.OneLine(value))
		}
	}
	return strings.Join(all, ", ")
}

// LastError returns the last error without its environment, which the reader's line names.
func LastError(e agent.EnvironmentStatus) string {
	return strings.TrimPrefix(e.LastError, e.Name+": ")
}

// MaxClockSkew is how wrong the clock may be before a person is told. Cognito's tokens
// are checked with a minute of leeway.
const MaxClockSkew = 30 * time.Second

// Clock says how wrong this machine's clock is: "1m30s behind". skew is how far
// Cognito's clock is ahead.
func Clock(skew time.Duration) string {
	if skew > 0 {
		return Duration(skew) + " behind"
	}
	return Duration(-skew) + " ahead"
}

// Time says when t is: "in 54m10s", "2m00s ago", or "-" for the zero time.
func Time(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := t.Round(0).Sub(now.Round(0))
	if d < 0 {
		return Duration(-d) + " ago"
	}
	return "in " + Duration(d)
}

// Duration writes d with its two largest units: "1h05m", "54m10s", "3d4h".
func Duration(d time.Duration) string {
	d = d.Truncate(time.Second)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// Allowed says what a socket with a policy allows: "token, api (GET, POST of /kyc)".
func Allowed(s agent.SocketStatus) string {
	var all []string
	for _, a := range s.Allow {
		text := string(a)
		if methods, paths := strings.Join(s.Methods, ", "), strings.Join(s.APIPaths, ", "); a == agent.AccessAPI && methods+paths != "" {
			text += " (" + cmp.Or(methods, "any method") + " of " + cmp.Or(paths, "any path") + ")"
		}
		all = append(all, text)
	}
	text := cmp.Or(sanitize.OneLine(strings.Join(all, ", ")), "nothing")
	if s.Confirm {
		text += ", once approved"
	}
	return text
}
