package integrations_test

import (
	"strings"
	"testing"
)

// TestOldGit checks that a git without bearer tokens gets an error that says so, and does
// not ask for a password instead.
func TestOldGit(t *testing.T) {
	if k := program("git", "git")(t); newer(k.names, "git 2.46") {
		t.Skipf("%s takes a bearer token; run this test where git is older", k.names)
	}
	e := newEnv(t)
	if err := e.base.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range readDocument(t) {
		if s.title != "git" {
			continue
		}
		r := e.runSection(t, s, toolset{env: []string{"GIT_TERMINAL_PROMPT=1"}})
		if r.code != 128 || r.okCalls() > 0 || !strings.Contains(r.stderr, "git 2.46") || strings.Contains(r.stderr, "Username") {
			t.Errorf("want the word of git 2.46 and no question\n%s", r)
		}
	}
}
