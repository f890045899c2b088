package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

// Text is one value of config.toml: text that has passed K's check. The zero Text was not
// given. String returns the text.
//
// A value checks itself while it is decoded, so that the error can name its line. Text is a
// struct because go-toml does not call UnmarshalText of a type whose kind is string.
type Text[K kind] struct{ s string }

// A kind checks text that is not empty. Its error may show the text: nothing in config.toml
// is a secret, except a password in a URL.
type kind interface{ check(s string) error }

// The kinds of value. They are different types, so that each key has its check.
type (
	// Duration is a Go duration: "5m", "90s".
	Duration = Text[durationKind]
	// StoreKind is the kind of a store.
	StoreKind = Text[storeKind]
	// Path is the path of a file, absolute or under ~/.
	Path = Text[pathKind]
	// SecretPath is a Path that no error shows: somebody may have written the secret there.
	SecretPath = Text[secretPathKind]
	// Level is a log level.
	Level = Text[levelKind]
	// AuditMode is what the audit log is worth.
	AuditMode = Text[auditKind]
	// Region is an AWS region.
	Region = Text[regionKind]
	// PoolID is the id of a Cognito user pool.
	PoolID = Text[poolKind]
	// ClientID is the id of an app client.
	ClientID = Text[clientKind]
	// IdentityPoolID is the id of a Cognito identity pool.
	IdentityPoolID = Text[identityPoolKind]
	// RoleARN is the ARN of an IAM role.
	RoleARN = Text[roleKind]
	// AuthFlow is a way to sign in.
	AuthFlow = Text[flowKind]
	// Validity is a duration that may have days: "30d", "12h".
	Validity = Text[validityKind]
	// Rate is a number of requests in a time: "900/5m".
	Rate = Text[rateKind]
	// Bool is true or false.
	Bool = Text[boolKind]
	// Username is the name of a user in a Cognito user pool.
	Username = Text[usernameKind]
	// Fallback is what an agent does without its shared store.
	Fallback = Text[fallbackKind]
	// MemberName is the name of an agent in its fleet.
	MemberName = Text[memberKind]
	// KubernetesName is the name of an object in Kubernetes.
	KubernetesName = Text[kubernetesKind]
	// TableName is the name of a table in PostgreSQL.
	TableName = Text[tableKind]
	// URL is an https URL, or an http one on loopback: passwords and tokens are sent to it.
	URL = Text[urlKind]
)

// UnmarshalText checks text and keeps it.
func (t *Text[K]) UnmarshalText(text []byte) error {
	var k K
	if len(text) > 0 {
		if err := k.check(string(text)); err != nil {
			return err
		}
	}
	t.s = string(text)
	return nil
}

// Set is UnmarshalText for a flag.
func (t *Text[K]) Set(s string) error { return t.UnmarshalText([]byte(s)) }

// String returns the text, or "" when none was given.
func (t Text[K]) String() string { return t.s }

// TextType is what pflag calls a Text. An error of such a flag may be shown.
const TextType = "text"

// Type is TextType, for a flag.
func (t *Text[K]) Type() string { return TextType }

type durationKind struct{}

// maxMargin is the longest life Cognito gives an ID token.
const maxMargin = 24 * time.Hour

func (durationKind) check(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf(`bad duration %q; want one such as "5m" or "90s"`, s)
	}
	if v <= 0 || v > maxMargin {
		return fmt.Errorf("bad duration %q; want more than 0 and at most 24h", s)
	}
	return nil
}

type storeKind struct{}

func (storeKind) check(s string) error {
	if !slices.Contains([]string{"auto", "keyring", "file", "memory", "kubernetes", "postgres"}, s) {
		return fmt.Errorf("unknown store %q; want auto, keyring, file, memory, kubernetes or postgres", s)
	}
	return nil
}

type auditKind struct{}

func (auditKind) check(s string) error {
	if !slices.Contains([]string{"on", "required", "off"}, s) {
		return fmt.Errorf("unknown audit %q; want on, required or off", s)
	}
	return nil
}

type pathKind struct{}

func (pathKind) check(s string) error {
	if !isPath(s) {
		return fmt.Errorf("bad path %q; want an absolute one, or one that begins with ~/", s)
	}
	return nil
}

type secretPathKind struct{}

func (secretPathKind) check(s string) error {
	if !isPath(s) {
		return errors.New("not a file's path; want an absolute one, or one that begins with ~/")
	}
	return nil
}

func isPath(s string) bool { return filepath.IsAbs(s) || strings.HasPrefix(s, "~/") }

// underHome returns path with ~ made home.
func underHome(path, home string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(home, rest)
	}
	return path
}

type levelKind struct{}

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// SlogLevel returns log_level as [log/slog] has it.
func (c Config) SlogLevel() slog.Level { return levels[c.LogLevel.s] }

func (levelKind) check(s string) error {
	if _, ok := levels[s]; !ok {
		return fmt.Errorf("unknown log level %q; want debug, info, warn or error", s)
	}
	return nil
}

// The shapes of ids are those of Cognito's API reference (UserPoolIdType,
// ClientIdType and IdentityPoolId), and of IAM's (arnType). A region becomes part of a host name, so it is no more than one
// label of it.
var (
	regionShape = lazyregexp.New(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	poolShape   = lazyregexp.New(`^[\w-]+_[0-9a-zA-Z]+$`)
	clientShape = lazyregexp.New(`^[\w+]+$`)

	identityPoolShape = lazyregexp.New(`^[a-z0-9]+(-[a-z0-9]+)*:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	roleShape         = lazyregexp.New(`^arn:aws(-cn|-us-gov)?:iam::\d{12}:role/[\w+=,.@/-]+$`)
)

type regionKind struct{}

func (regionKind) check(s string) error {
	return checkShape(s, regionShape, 63, "region", "us-east-2")
}

type poolKind struct{}

func (poolKind) check(s string) error {
	return checkShape(s, poolShape, 55, "user pool id", "us-east-2_oGu06xbPS")
}

type clientKind struct{}

func (clientKind) check(s string) error {
	return checkShape(s, clientShape, 128, "client id", "2raj3isqgeivk0m4b94858hice")
}

type identityPoolKind struct{}

func (identityPoolKind) check(s string) error {
	return checkShape(s, identityPoolShape, 55, "identity pool id", "us-east-2:0f1c2a7e-5b3d-4c8e-9a61-7d2b8e4f6a90")
}

type roleKind struct{}

func (roleKind) check(s string) error {
	return checkShape(s, roleShape, 2048, "role ARN", "arn:aws:iam::123456789012:role/kyc")
}

func checkShape(s string, shape *lazyregexp.Regexp, limit int, what, example string) error {
	if len(s) > limit || !shape.MatchString(s) {
		return fmt.Errorf("bad %s %q; want one such as %q", what, s, example)
	}
	return nil
}

type flowKind struct{}

func (flowKind) check(s string) error {
	if !slices.Contains([]agent.AuthFlow{agent.FlowPassword, agent.FlowSRP, agent.FlowChoice, agent.FlowCustom, agent.FlowBrowser}, agent.AuthFlow(s)) {
		return fmt.Errorf("unknown flow %q; want password, srp, choice, custom or browser", s)
	}
	return nil
}

type validityKind struct{}

// What Cognito lets a refresh token live: CreateUserPoolClient, RefreshTokenValidity.
const (
	minValidity = time.Hour
	maxValidity = 3650 * day
	day         = 24 * time.Hour
)

func (validityKind) check(s string) error {
	v, err := parseDays(s)
	if err != nil {
		return fmt.Errorf(`bad duration %q; want one such as "30d" or "12h"`, s)
	}
	if v < minValidity || v > maxValidity {
		return fmt.Errorf("bad duration %q; want at least 60m and at most 3650d", s)
	}
	return nil
}

// parseDays reads a Go duration that may begin with days: "30d", "1d12h", "90m". An
// empty one is 0.
func parseDays(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	count, rest, ok := strings.Cut(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	days, err := strconv.ParseUint(count, 10, 16) // few enough not to overflow
	if err != nil || rest == "" {
		return time.Duration(days) * day, err
	}
	more, err := time.ParseDuration(rest)
	return time.Duration(days)*day + more, err
}

type boolKind struct{}

func (boolKind) check(s string) error {
	if s != "true" && s != "false" {
		return fmt.Errorf("bad value %q; want true or false", s)
	}
	return nil
}

type usernameKind struct{}

// usernameShape is Cognito's UsernameType but for its length: a repetition of classes
// this large costs every start 5 MB and 6 ms.
var usernameShape = lazyregexp.New(`^[\p{L}\p{M}\p{S}\p{N}\p{P}]+$`)

const maxUsername = 128 // characters

func (usernameKind) check(s string) error {
	if !isUsername(s) {
		return fmt.Errorf("bad user name %q; want at most 128 characters, and no blanks", s)
	}
	return nil
}

func isUsername(s string) bool {
	return usernameShape.MatchString(s) && utf8.RuneCountInString(s) <= maxUsername
}

// TypedUsername is a Username that a person types, as a flag or at a prompt: blanks at its
// ends are dropped, and no error shows it, because it may be a password in the wrong place.
type TypedUsername struct{ s string }

// Set checks what was typed and keeps it. Nothing, or nothing but blanks, is no error.
func (u *TypedUsername) Set(typed string) error {
	typed = strings.TrimSpace(typed)
	if typed != "" && !isUsername(typed) {
		return errors.New("not a user name: one has at most 128 characters, and no blanks")
	}
	u.s = typed
	return nil
}

// String returns the name.
func (u TypedUsername) String() string { return u.s }

// Type is TextType.
func (u *TypedUsername) Type() string { return TextType }

type urlKind struct{}

func (urlKind) check(s string) error {
	u, err := url.Parse(s)
	if err != nil { // its text has s in it, and s could have a password
		return errors.New("not a URL; want one such as https://kyc.legaltalent.ai")
	}
	switch {
	case u.User != nil:
		return errors.New("a user or password in a URL; leave them out")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("a URL with a query or fragment; leave out what follows '?' or '#'")
	case u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("not a URL that begins with https://")
	case u.Scheme == "http" && !origin.IsLoopback(u.Hostname()):
		return fmt.Errorf("plain http to %s, which is not this machine; want https://", u.Host)
	}
	return nil
}

// BaseURL returns api_url without a slash at its end, as the agent has it.
func (e Environment) BaseURL() string { return withoutSlash(e.APIURL) }

func withoutSlash(u URL) string { return strings.TrimRight(u.s, "/") }
