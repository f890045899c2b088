package integrations_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// brokenWays are what keeps kyc-token from giving a whole answer or reporting an error.
// Each is a script for sh in place of the program, whose path is in %s.
var brokenWays = []struct{ name, script string }{
	{"cannot start", `ulimit -v 100000; exec "%s" "$@"`},
	{"not on PATH", ""},
	{"killed", `kill -KILL $$`},
	// exec has no output: the command that it becomes has.
	{"killed in its output", `case "$*" in exec*) ;; *) "%s" "$@" | head -c 500 ;; esac; kill -KILL $$`},
}

// clientNames are the names of kyc-token.
var clientNames = []string{"kyc-token", "git-credential-kyc", "goauth-kyc", "terraform-credentials-kyc"}

var runsClient = regexp.MustCompile(`(?m)kyc-token[, >)"]|kyc-token$|helper=kyc|goauth-kyc|terraform-credentials-kyc`)

// runsClient reports whether the section's lines and files run kyc-token.
func (s section) runsClient() bool {
	for _, b := range s.blocks {
		if (b.shell() || b.file != "") && runsClient.MatchString(b.text) {
			return true
		}
	}
	return false
}

// breakClient returns an env like e, in which kyc-token is broken in that way.
func (e *env) breakClient(t *testing.T, way struct{ name, script string }) *env {
	t.Helper()
	dir := t.TempDir()
	for _, name := range clientNames {
		if way.script == "" {
			continue
		}
		real := e.token
		if name != "kyc-token" {
			real = filepath.Join(e.links, name)
		}
		write(t, filepath.Join(dir, name), "#!/bin/sh\n"+strings.ReplaceAll(way.script, "%s", real)+"\n")
	}
	link(t, filepath.Join(filepath.Dir(e.token), "kyc-agentd"), filepath.Join(dir, "kyc-agentd"))

	var path []string // without the folders that have a kyc-token
	for folder := range strings.SplitSeq(e.path(), string(filepath.ListSeparator)) {
		has := false
		for _, name := range clientNames {
			_, err := os.Lstat(filepath.Join(folder, name))
			has = has || err == nil
		}
		if !has {
			path = append(path, folder)
		}
	}
	base := *e.base
	base.Environ = append([]string{}, e.base.Environ...)
	base.Environ[0] = "PATH=" + dir + ":" + strings.Join(path, ":")
	broken := *e
	broken.base, broken.token = &base, filepath.Join(dir, "kyc-token")
	return &broken
}
