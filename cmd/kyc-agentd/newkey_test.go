package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
)

const (
	keepQuestion = "Keep it in encrypted files, with a new key that only you can read? [Y/n] "
	keepLine     = "kyc-agentd: staging: signed in as ana, kept until the agent stops; to keep it, run: kyc-agentd keygen && kyc-agentd reload\r\n"
)

// loginOn signs in at p's terminal, until the question about the key.
func (h *fixture) loginOn(p *terminaltest.Person) *running {
	h.t.Helper()
	r := h.sessionOn(p, kycAgentd("login", "-u", "ana"))
	p.Answers(terminaltest.Answer{"Password for ana at staging? ", "correct horse"})
	p.Sees("\r\nThere is no keyring here, so the sign-in would end when the agent stops.\r\n" + keepQuestion)
	return r
}

func (h *fixture) killed(d *running) {
	_ = d.Process.Kill()
	<-d.exited
}

// On a bare server the first login offers a key. With it the sign-in outlives the agent, even
// one that is killed, and is the same one. The key is made where the agent looks for it,
// whatever the shell's variables are.
func TestLoginOffersAKey(t *testing.T) {
	for answer, shell := range map[string]string{"": "", "Y": "", "yes": "XDG_CONFIG_HOME=/nonexistent"} {
		h := newFixture(t)
		d := h.daemon()
		agents := h.env
		h.env = append(h.env, shell)
		p := terminaltest.New(t)
		r := h.loginOn(p)
		p.Types(answer + "\n")
		p.Sees("kyc-agentd: made the key " + h.dir + "/.config/kyc-agent/store.key\r\n")
		p.Sees("kyc-agentd: staging: signed in as ana, kept in files (" + h.dir + "/.local/state/kyc-agent)\r\n")
		if exit := h.ended(r); exit != exitOK {
			t.Errorf("exit %d", exit)
		}
		p.SawNone("correct horse")
		t.Logf("the terminal:\n%s", p.Seen())
		h.killed(d)
		h.env = agents
		h.daemon()
		h.token("staging")
		if n := h.cognito.SignIns(); n != 1 {
			t.Errorf("%d sign-ins", n)
		}
		again := h.sessionOn(p, kycAgentd("login", "-u", "ana"))
		p.Answers(terminaltest.Answer{"Password for ana at staging? ", "correct horse"})
		p.Sees("\r\nkyc-agentd: staging: signed in as ana, kept in files (" + h.dir + "/.local/state/kyc-agent)\r\n")
		h.ended(again)
	}
}

// No, Ctrl-C and Ctrl-D leave the sign-in as it is.
func TestLoginMakesNoKeyUnasked(t *testing.T) {
	for typed, exit := range map[string]int{"what\nno\n": exitOK, "\x03": -1, "\x04": -1} {
		h := newFixture(t)
		h.daemon()
		p := terminaltest.New(t)
		r := h.loginOn(p)
		p.Types(typed)
		p.Sees(keepLine)
		if got := h.ended(r); got == exitOK != (exit == exitOK) {
			t.Errorf("%q: exit %d", typed, got)
		}
		if _, err := os.Lstat(filepath.Join(h.dir, ".config")); err == nil {
			t.Errorf("%q made something", typed)
		}
		h.token("staging")
	}
}

// What is in the way of the key or of the files is said, and the sign-in stays in memory.
func TestLoginCannotKeep(t *testing.T) {
	for path, want := range map[string]string{
		".config": "kyc-agentd: warning: cannot write the key ",
		".local":  "kyc-agentd: warning: configuration reloaded, but sign-ins stay in memory: file store: cannot make the folder ",
	} {
		h := newFixture(t)
		h.daemon()
		block(t, filepath.Join(h.dir, path))
		p := terminaltest.New(t)
		r := h.loginOn(p)
		p.Types("\n")
		p.Sees(want)
		p.Sees("kyc-agentd: staging: signed in as ana, kept until the agent stops; to keep it, run: kyc-agentd ")
		p.Sees("\r\n")
		if exit := h.ended(r); exit != exitOK {
			t.Errorf("exit %d: %s", exit, p.Seen())
		}
		h.token("staging")
	}
}

// block puts a file in the place of a folder, which the agent may be making meanwhile for its audit
// log.
func block(t *testing.T, path string) {
	t.Helper()
	var err error
	for range 100 {
		_ = os.RemoveAll(path)
		if err = os.WriteFile(path, nil, 0o600); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// What a script runs asks nothing that it can do without.
func TestLoginAsksForNoKey(t *testing.T) {
	h := newFixture(t)
	h.daemon()
	p := terminaltest.New(t)
	cmd := kycAgentd("login", "-u", "ana", "--password-stdin")
	var said bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr = h.env, strings.NewReader("correct horse"), &said
	cmd.ExtraFiles = []*os.File{p.TTY}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	r, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if exit := h.ended(r); exit != exitOK || said.String() != strings.ReplaceAll(keepLine, "\r", "") {
		t.Errorf("exit %d: %s", exit, said.String())
	}
}
