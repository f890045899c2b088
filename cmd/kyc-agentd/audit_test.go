package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// The journal, and the log of an agent that logs elsewhere, know lines that were cut off together
// with the state.
func TestAuditVerifyByTheDaemonsLog(t *testing.T) {
	h := newFixture(t)
	state := filepath.Join(h.dir, ".local", "state", "kyc-agent")
	log, err := os.Create(filepath.Join(h.dir, "log.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	serve := func() {
		cmd := h.serve("--store", "memory")
		cmd.Stderr = log
		h.stop(h.launched(cmd))
	}
	serve()
	old := map[string][]byte{}
	for _, name := range []string{"audit.jsonl", "audit.state"} {
		if old[name], err = os.ReadFile(filepath.Join(state, name)); err != nil {
			t.Fatal(err)
		}
	}
	serve()
	journal := fakeJournal(t, h, log.Name())
	verify := func(args ...string) outcome {
		return h.run("", kycAgentd(append([]string{"audit", "verify"}, args...)...))
	}
	for name, got := range map[string]outcome{"log": verify("--log", log.Name()), "journal": verify()} {
		if got.exit != exitOK || strings.Contains(got.out, "problem") || strings.Contains(got.out, " 0 compared") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if asked, _ := os.ReadFile(journal); !strings.Contains(string(asked), "KYC_FILE="+filepath.Join(state, "audit.jsonl")) {
		t.Errorf("the journal was asked %s", asked)
	}
	for name, raw := range old {
		if err := os.WriteFile(filepath.Join(state, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, got := range map[string]outcome{"log": verify("--log", log.Name()), "journal": verify()} {
		if got.exit != exitProblems || !strings.Contains(got.out, "problem: the daemon's log knows line 4 of chain ") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for what, test := range map[string]struct{ journalctl, want string }{
		"without journalctl":             {"", "the journal cannot be read: there is no journalctl on this machine; an administrator"},
		"without the right to read it":   {"echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1", "the journal cannot be read: No journal files were opened due to insufficient permissions; an administrator can read it: journalctl -t kyc-agentd _UID="},
		"after its entries were removed": {"exit 0", "the journal has no head of this log: journald has removed them or keeps no journal"},
	} {
		bin := t.TempDir()
		if test.journalctl != "" {
			if err := testpeer.WriteProgram(filepath.Join(bin, "journalctl"), []byte("#!/bin/sh\n"+test.journalctl+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		h.env = append(h.env, "PATH="+bin)
		got := verify()
		if out := strings.Join(strings.Fields(got.out), " "); got.exit != exitOK || !strings.Contains(out, "note: no head of the daemon's log was compared") || !strings.Contains(out, "note: "+test.want) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// fakeJournal puts a journalctl into $PATH that has the heads of a log, and returns where its
// arguments are.
func fakeJournal(t *testing.T, h *fixture, log string) (asked string) {
	t.Helper()
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	heads, err := audit.ReadHeads(bytes.NewReader(raw))
	if err != nil || len(heads) == 0 {
		t.Fatalf("%v in %s", err, raw)
	}
	var entries strings.Builder
	for _, head := range heads {
		fmt.Fprintf(&entries, `{"KYC_CHAIN":%q,"KYC_N":"%d","KYC_HASH":%q,"KYC_FILE":%q}`+"\n", head.Chain, head.N, head.Hash, head.File)
	}
	bin := filepath.Join(h.dir, "bin")
	asked = filepath.Join(h.dir, "asked")
	script := "#!/bin/sh\necho \"$@\" >>" + asked + "\ncat <<'EOT'\n" + entries.String() + "EOT\n"
	if err := errors.Join(os.Mkdir(bin, 0o700), testpeer.WriteProgram(filepath.Join(bin, "journalctl"), []byte(script), 0o700)); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "PATH="+bin+":"+os.Getenv("PATH"))
	return asked
}

// Every line of the table fits a narrow terminal, except a word that is longer.
func TestAuditTableOf40Columns(t *testing.T) {
	var out bytes.Buffer
	table := newAuditTable(&out)
	table.width = 40
	for range 3 {
		_ = table.add(nil, audit.Line{
			N: 1, Time: time.Unix(1e9, 0), Event: audit.API, Count: 7,
			Who:  audit.Who{Peer: &audit.Peer{PID: 4711, Exe: "/usr/bin/curl", Parents: []audit.Process{{PID: 1, Exe: "/usr/bin/bash"}, {PID: 2, Exe: "/usr/bin/tmux"}}, Unit: "app.slice"}, Socket: "ai"},
			What: audit.What{Environment: "prod", User: "ana@example.com", Method: "GET", Path: "/kyc/watchlists/7", Status: 200, End: "abcdef"}, Grant: "7F3K",
		})
	}
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 40 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, want := range []string{"api ×7", "curl (4711) < bash < tmux", "/kyc/watchlists/7", "grant 7F3K", "socket ai"} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// What a hostile client has in a line reaches no terminal.
func TestAuditTableOfHostileText(t *testing.T) {
	var out bytes.Buffer
	table := newAuditTable(&out)
	evil := "a\x1b[2J\u202e\nb"
	_ = table.add(nil, audit.Line{Event: audit.Kind(evil), Who: audit.Who{Peer: &audit.Peer{Exe: evil, Unit: evil}, Socket: evil},
		What: audit.What{Environment: evil, User: evil, Path: evil, Detail: evil, Code: evil, End: evil}, Grant: evil, Note: evil})
	_ = table.flush()
	if got := out.String(); strings.ContainsAny(got, "\x1b\u202e") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
	row := csvRow(audit.Line{What: audit.What{Path: "=cmd()", Detail: "+1"}})
	if strings.Contains(strings.Join(row, ","), ",=") || strings.Contains(strings.Join(row, ","), ",+") {
		t.Errorf("a spreadsheet takes one of %q for a formula", row)
	}
}

func TestAuditTimes(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2h": "2026-05-04 10:00", "7d": "2026-04-27 12:00", "today": "2026-05-04 00:00", "yesterday": "2026-05-03 00:00", "now": "2026-05-04 12:00",
		"14:30": "2026-05-04 14:30", "2026-01-31": "2026-01-31 00:00", "2026-01-31 14:00": "2026-01-31 14:00", "2026-01-31T14:00:00Z": "2026-01-31 14:00",
	} {
		if got, err := parseTime("--since", text, now); err != nil || got.Format("2006-01-02 15:04") != want {
			t.Errorf("%s: %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"-2h", "0d", "soon", "25:00", "2026-13-01", "99999999999d"} {
		if got, err := parseTime("--since", text, now); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
}
