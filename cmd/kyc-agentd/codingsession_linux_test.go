package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

var updateCodingSession = flag.Bool("update-coding-session", false, "write what comes into testdata/codingsession.txt")

// changing is what differs from run to run, and from machine to machine, in a recorded session.
var changing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\r`), ""},
	{regexp.MustCompile(`/\S+/(kyc-token|kyc-agentd\.test)\b`), "/…/$1"},
	{regexp.MustCompile(`/\S+/(sh|dash|bash|busybox|ksh)\b`), "/…/SHELL"},
	{regexp.MustCompile(`(?m)(^  started by .*SHELL.*\n)(  started by .*\n)*`), "$1"}, // up to what started the test
	{regexp.MustCompile(`(?m)^(  unit  +).*`), "${1}UNIT"},
	{regexp.MustCompile(`(kyc-token \(\d+\)) < .*?  `), "$1 < SHELL  "},
	{regexp.MustCompile(`(token) ×\d+`), "$1"}, // whether the first batch had repeats
	{regexp.MustCompile(`(pts/|pid |\()\d+`), "${1}N"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b\d+s ago`), "Ns ago"},
	{regexp.MustCompile(`…[\w-]{6}( )`), "…TOKEN$1"},
	{regexp.MustCompile(`(\S)  +`), "$1  "}, // the width of a column
}

// A coding session in two terminals: a coding agent wants production, is asked about, works for
// as long as it was allowed to, and is stopped. What each terminal shows is in
// testdata/codingsession.txt.
func TestCodingSession(t *testing.T) {
	t.Parallel() // its last request waits 7 seconds for an answer
	bin := filepath.Dir(testpeer.Build(t, "kyc-token"))
	s := newConfirmed(t, "", "PATH="+bin+":"+os.Getenv("PATH"), "TERM=dumb")
	shell := func(prompt string) (*terminaltest.Person, func(command string)) {
		p := terminaltest.New(t)
		p.Resize(160, 50)
		s.at(p, "env", "PS1="+prompt, "sh", "-i")
		p.Sees(prompt)
		return p, func(command string) {
			t.Helper()
			p.Types(command + "\n")
			p.Sees("\r\n")
			p.Sees(prompt)
		}
	}
	logged := func(event string) { // a line is on the disk within a quarter of a second
		t.Helper()
		ctx := within(t, 6*time.Second)
		for !strings.Contains(s.must("kyc-agentd", "audit", "show", "--json"), `"event":"`+event+`"`) {
			if ctx.Err() != nil {
				t.Fatalf("the audit log has no line %q", event)
			}
		}
	}
	const token = "kyc-token staging >/dev/null; echo ended $?"
	coding, runs := shell("agent$ ")
	person, types := shell("you$ ")

	coding.Types(token + "\n")
	id := s.pending().ID
	person.Types("kyc-agentd approve --for 30m\n")
	person.Answers(terminaltest.Answer{"Approve this for 30m? [yes/no] ", "yes"})
	person.Sees("you$ ")
	coding.Sees("agent$ ")
	runs("for i in 1 2 3; do " + token + "; done")
	logged("token")
	types("kyc-agentd audit show staging --event asked,approved,token")
	types("kyc-agentd revoke " + id)
	runs(token)
	again := s.pending().ID
	logged("refused")
	types("kyc-agentd audit show staging --event denied,refused")

	got := "# the coding agent's terminal\n" + coding.Seen() + "\n\n# your terminal\n" + person.Seen() + "\n"
	for _, v := range changing {
		got = v.what.ReplaceAllString(got, v.as)
	}
	got = strings.NewReplacer(id, "CODE", again, "NEXT").Replace(got)
	path := filepath.Join("testdata", "codingsession.txt")
	if *updateCodingSession {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%v\ngot:\n%s\nwant:\n%s", err, got, want)
	}
}
