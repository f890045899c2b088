package integrations_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// aToken matches an ID token, and the beginning of one.
var aToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20}`)

// A shell prints no token, whichever documented line is pasted into it: its own, or one that
// is for another shell and that it does not understand.
func TestShellsPrintNoToken(t *testing.T) {
	e := newEnv(t)
	if err := e.base.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for _, s := range readDocument(t) {
		switch s.title {
		case "curl", "sh and dash", "fish", "csh and tcsh", "Any program", "wget":
			for _, b := range s.blocks {
				lines[s.title] += b.text
			}
		}
	}
	lines["exported"] = "set -a\n" + `vars=$(kyc-token -f env staging) && eval "$vars" && sh -c 'test -n "$KYC_TOKEN" && echo exported'` + "\n"
	for shell, own := range map[string][]string{
		"bash": {"curl", "sh and dash", "Any program", "wget", "exported"},
		"dash": {"sh and dash", "Any program", "wget", "exported"},
		"zsh":  {"curl", "sh and dash", "Any program", "wget", "exported"},
		"fish": {"sh and dash", "fish"},
		"csh":  {"sh and dash", "csh and tcsh"},
	} {
		t.Run(shell, func(t *testing.T) {
			pkg := shell
			if shell == "csh" {
				pkg = "tcsh"
			}
			program := testpeer.Program(t, shell, pkg)
			k := wget(t)
			for title, text := range lines {
				dir := t.TempDir()
				write(t, dir+"/body.json", `{"subject": {"full_name": "Ivan Exampletov"}, "list_name": "ofac"}`)
				write(t, dir+"/lines", e.localize(text))
				r := e.shell(t, dir, program+" ./lines </dev/null", k)
				if found := aToken.FindString(r.stdout + r.stderr); found != "" {
					t.Errorf("%s: the terminal shows %s…", title, found)
				}
				for _, mine := range own {
					if mine == title && (r.code != 0 || !strings.Contains(r.stdout, "is_match") && !strings.Contains(r.stdout, "exported")) {
						t.Errorf("%s: %s", title, r)
					}
				}
				for _, call := range r.calls {
					if call.Status != 200 {
						t.Errorf("%s: a request without a token: %+v", title, call)
					}
				}
			}
		})
	}
}
