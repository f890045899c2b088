package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Text is one value of config.toml: text that has passed K's check. The zero Text is
// one that was not given. It checks itself while it is decoded, so that the decoder
// can say in which line a bad one is.
//
// It is a struct because go-toml sets a value whose kind is string without asking
// its UnmarshalText.
type Text[K kind] struct{ s string }

// A kind checks text that is not empty. The error may show it: nothing in
// config.toml is a secret, except what somebody writes into a URL.
type kind interface{ check(s string) error }

// The kinds of value.
type (
	// Duration is a Go duration: "5m", "90s".
	Duration = Text[durationKind]
	// StoreKind is the kind of a store.
	StoreKind = Text[storeKind]
	// Path is a file's, absolute or under ~/.
	Path = Text[pathKind]
	// Level is a log level.
	Level = Text[levelKind]
	// Region is an AWS region.
	Region = Text[regionKind]
	// PoolID is the id of a Cognito user pool.
	PoolID = Text[poolKind]
	// ClientID is the id of an app client.
	ClientID = Text[clientKind]
	// URL is an https URL, or an http one on loopback: passwords and tokens go there.
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

// Set makes a Text a flag.
func (t *Text[K]) Set(s string) error { return t.UnmarshalText([]byte(s)) }

// String returns the text, or "" when none was given.
func (t *Text[K]) String() string { return t.s }

const textType = "text"

// Type is what pflag calls the value.
func (t *Text[K]) Type() string { return textType }

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
	if !slices.Contains([]string{"auto", "keyring", "file", "memory"}, s) {
		return fmt.Errorf("unknown store %q; want auto, keyring, file or memory", s)
	}
	return nil
}

type pathKind struct{}

func (pathKind) check(s string) error {
	if !filepath.IsAbs(s) && !strings.HasPrefix(s, "~/") {
		return fmt.Errorf("bad path %q; want an absolute one, or one that begins with ~/", s)
	}
	return nil
}

// underHome returns path with ~ made home.
func underHome(path Path, home string) string {
	if rest, ok := strings.CutPrefix(path.s, "~/"); ok {
		return filepath.Join(home, rest)
	}
	return path.s
}

type levelKind struct{}

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func (levelKind) check(s string) error {
	if _, ok := levels[s]; !ok {
		return fmt.Errorf("unknown log level %q; want debug, info, warn or error", s)
	}
	return nil
}

// The shapes of ids are those of Cognito's API reference (UserPoolIdType and
// ClientIdType). A region becomes part of a host name, so it is no more than one
// label of it.
var (
	regionShape = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	poolShape   = regexp.MustCompile(`^[\w-]+_[0-9a-zA-Z]+$`)
	clientShape = regexp.MustCompile(`^[\w+]+$`)
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

func checkShape(s string, shape *regexp.Regexp, limit int, what, example string) error {
	if len(s) > limit || !shape.MatchString(s) {
		return fmt.Errorf("bad %s %q; want one such as %q", what, s, example)
	}
	return nil
}

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
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("plain http to %s, which is not this machine; want https://", u.Host)
	}
	return nil
}

// isLoopback reports whether host is this machine, without asking DNS.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func withoutSlash(u URL) string { return strings.TrimRight(u.s, "/") }
