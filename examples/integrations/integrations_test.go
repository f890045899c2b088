// Package integrations_test runs every line of docs/integrations.md with the real tools,
// against a daemon, a simulated Cognito and a KYC API on this machine. Only the API's
// address differs from what a person pastes.
//
//	make integration
//
// prints a table of what was run.
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

// A usage is a section of the document and how it is tested.
type usage struct {
	title string
	// with is another section whose files this one needs.
	with string
	// elsewhere names the tests that run the section's lines, if these tests do not.
	elsewhere string
	// tools finds the tools of the section, and skips the test if one is missing.
	tools func(t *testing.T) toolset
	// calls is the least number of calls with a valid token that the API gets.
	calls int
	// says is a part of stdout.
	says string
	// asks is whether the tool sends its first request without a token, and asks its
	// helper after a refusal. Without a sign-in the API gets only such requests.
	asks bool
}

// TestIntegrations runs each section twice: without a sign-in, when no call with a token
// may reach the API, and with one. During both, no command line may contain a token.
func TestIntegrations(t *testing.T) {
	sections := readDocument(t)
	titles := map[string]section{}
	for _, s := range sections {
		titles[s.title] = s
	}
	for _, s := range sections {
		if !slices.ContainsFunc(usages, func(u usage) bool { return u.title == s.title }) {
			t.Errorf("no test runs the section %q of the document", s.title)
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
		t.Errorf("want %d calls answered 200 and %q on stdout\n%s", u.calls, u.says, r)
	}
	looks, found := eyes.take()
	if looks < u.calls || len(found) > 0 {
		t.Errorf("command lines were searched %d times; those with a token: %q", looks, found)
	}
	if u.calls == 0 { // the section does not call the API
		return "printed " + u.says + "…"
	}
	return fmt.Sprintf("%d × 200, no token in command lines (searched %d times)", r.okCalls(), looks)
}

// TestBrokenClient runs each section that runs kyc-token while somebody is signed in, with a
// kyc-token that gives no whole answer. Nothing may reach the API but what a tool that asks
// its helper later sends first.
func TestBrokenClient(t *testing.T) {
	e := newEnv(t)
	if err := e.base.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	titles := map[string]section{}
	for _, s := range readDocument(t) {
		titles[s.title] = s
	}
	var rows []string
	for _, u := range usages {
		s := titles[u.title]
		s.blocks = append(titles[u.with].fileBlocks(), s.blocks...)
		if u.elsewhere != "" || !s.runsClient() {
			continue
		}
		t.Run(u.title, func(t *testing.T) {
			k := u.tools(t)
			var row strings.Builder
			row.WriteString("| " + u.title)
			for _, way := range brokenWays {
				r := e.breakClient(t, way).runSection(t, s, k)
				if r.code == 0 || len(r.calls) > 0 && !u.asks || r.okCalls() > 0 {
					t.Errorf("%s: it must fail, and nothing may reach the API\n%s", way.name, r)
				}
				fmt.Fprintf(&row, " | exit %d, %d requests", r.code, len(r.calls))
			}
			rows = append(rows, row.String()+" |")
		})
	}
	fmt.Printf("| tool | cannot start | not on PATH | killed | killed in its output |\n|---|---|---|---|---|\n%s\n", strings.Join(rows, "\n"))
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
