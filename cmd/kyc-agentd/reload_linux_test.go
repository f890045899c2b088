package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A reload that takes protections away needs the passphrase, once there is one. A refused one
// changes nothing, and one that only forbids needs none.
func TestLooseningReload(t *testing.T) {
	const all = "auto_lock = { idle = '1h' }\naudit = 'required'\n"
	s := newConfirmed(t, "")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir, ".config", "kyc-agent", "config.toml"), []byte("store = 'memory'\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	s.must("kyc-agentd", "reload") // without a passphrase nothing is asked
	s.must("kyc-token", "staging")
	s.setPassphrase()
	write(all + "[environments.staging]\nconfirm = true\n")
	s.must("kyc-agentd", "reload")

	write("log_level = 'debug'\n")
	asks := func(st agent.Status) bool {
		return slices.ContainsFunc(st.Environments, func(e agent.EnvironmentStatus) bool { return e.Name == "staging" && e.Confirm })
	}
	const refusal = `takes protections away, which needs the passphrase: environments.staging.confirm: "true" becomes unset, ` +
		`audit: "required" becomes "on", auto_lock.idle: "1h" becomes unset`
	exit, _, errOut := s.run("", "kyc-agentd", "reload")
	if exit != exitDenied || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, refusal+"; at a terminal, run: kyc-agentd reload") {
		t.Errorf("without a terminal: exit %d: %s", exit, errOut)
	}
	inLog := strings.ReplaceAll(refusal, `"`, `\"`)
	logged := strings.Count(s.daemon.log.String(), inLog)
	if err := s.daemon.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	awaitState(t, "the refusal in the log", func() bool { return strings.Count(s.daemon.log.String(), inLog) > logged })
	if st := s.status(); !asks(st) || st.Audit.Mode != "required" || st.Lock.Auto.IdleSeconds != 3600 || strings.Contains(s.daemon.log.String(), `"level":"DEBUG"`) {
		t.Errorf("after refusals: %+v", st)
	}

	reload := func(exit int, meanwhile func(), answers ...string) *terminaltest.Person {
		t.Helper()
		p := terminaltest.New(t)
		p.Resize(400, 50)
		r := s.at(p, testpeer.Build(t, "kyc-agentd"), "reload")
		p.Sees(refusal)
		meanwhile()
		for _, answer := range answers {
			p.Answers(terminaltest.Answer{"What is the passphrase of the agent? ", answer})
		}
		<-r.exited
		if got := r.ProcessState.ExitCode(); got != exit {
			t.Errorf("%q: exit %d: %s", answers, got, p.Seen())
		}
		p.SawNone(answers...)
		return p
	}
	p := reload(exitDenied, func() { write("log_level = 'debug'\n[environments.prod]\napi_url = 'https://evil.example'\n") }, lockPassphrase)
	p.Sees("takes other protections away than you were shown; to see which, run again: kyc-agentd reload")
	if st := s.status(); !asks(st) || st.Audit.Mode != "required" {
		t.Errorf("after a change behind the question: %+v", st)
	}
	write("log_level = 'debug'\n")
	reload(exitOK, func() {}, "three-red-foxes", lockPassphrase)
	s.must("kyc-token", "staging")
	if st := s.status(); asks(st) || st.Audit.Mode != "on" || st.Lock.Auto.IdleSeconds != 0 {
		t.Errorf("after the reload: %+v", st)
	}
}
