// Package integrations_test runs docs/integrations.md: every line of it, with the real
// tools, against a daemon, a Cognito and a KYC API on this machine. Only the API's
// address is another than what a person pastes.
//
//	make integration
//
// prints what was run as a table.
package integrations_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

// A usage is a section of the document and how it is proven.
type usage struct {
	title string
	// with is a section whose files are there too.
	with string
	// elsewhere says which tests run the section's lines, where these do not.
	elsewhere string
	// tools finds what the section runs, and skips where something is missing.
	tools func(t *testing.T) toolset
	// calls is how many calls with a good token the API sees at least.
	calls int
	// says is on stdout in the end.
	says string
	// asks says that the tool sends its first request without a token, and asks its
	// helper when it is refused. Without a sign-in these requests are all there is.
	asks bool
}

// TestIntegrations runs each section twice: without a sign-in, when nothing at all
// may reach the API, and with one. Meanwhile no command line may hold a token.
func TestIntegrations(t *testing.T) {
	sections := readDocument(t)
	titles := map[string]section{}
	for _, s := range sections {
		titles[s.title] = s
	}
	for _, s := range sections {
		if !slices.ContainsFunc(usages, func(u usage) bool { return u.title == s.title }) {
			t.Errorf("the section %q of the document is run by no test", s.title)
		}
	}
	closed, open := newEnv(t), newEnv(t)
	if err := open.base.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	eyes := &watch{}
	open.base.API.Before(eyes.look)
	var rows []string
	for _, u := range usages {
		t.Run(u.title, func(t *testing.T) {
			s, ok := titles[u.title]
			if !ok {
				t.Fatal("the document has no such section")
			}
			if u.elsewhere != "" {
				rows = append(rows, fmt.Sprintf("| %s | - | by the tests of %s | |", u.title, u.elsewhere))
				return
			}
			k := u.tools(t)
			s.blocks = append(titles[u.with].fileBlocks(), s.blocks...)
			without := u.failsClosed(t, closed, s, k)
			with := u.works(t, open, eyes, s, k)
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |", u.title, k.names, with, without))
		})
	}
	fmt.Printf("| tool | version | with a sign-in | without one |\n|---|---|---|---|\n%s\n", strings.Join(rows, "\n"))
}

func (u usage) works(t *testing.T, e *env, eyes *watch, s section, k toolset) string {
	t.Helper()
	r := e.runSection(t, s, k)
	if r.code != 0 || r.okCalls() < u.calls || !strings.Contains(r.stdout, e.localize(u.says)) {
		t.Errorf("want %d good calls and %q on stdout\n%s", u.calls, u.says, r)
	}
	looks, found := eyes.take()
	if looks < u.calls || len(found) > 0 {
		t.Errorf("command lines were looked at %d times; those with a token: %q", looks, found)
	}
	if u.calls == 0 { // what it calls is not the API
		return "printed " + u.says + "…"
	}
	return fmt.Sprintf("%d × 200, no token in %d looks at command lines", r.okCalls(), looks)
}

func (u usage) failsClosed(t *testing.T, e *env, s section, k toolset) string {
	t.Helper()
	r := e.runSection(t, s, k)
	if r.code == 0 || len(r.calls) > 0 && !u.asks || r.okCalls() > 0 {
		t.Errorf("without a sign-in it must fail, and nothing may reach the API\n%s", r)
	}
	if u.asks {
		return fmt.Sprintf("exit %d, %d requests without a token", r.code, len(r.calls))
	}
	return fmt.Sprintf("exit %d, %d requests", r.code, len(r.calls))
}
