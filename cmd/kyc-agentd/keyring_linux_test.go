package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

// A keyring that is locked is asked once it is needed, and then says what to do.
func TestLockedKeyring(t *testing.T) {
	h := newFixture(t)
	h.env = append(h.env, keyringtest.Start(t, keyringtest.Locked).Env()...)
	h.env = append(h.env, "HOME="+h.dir, "XDG_RUNTIME_DIR="+h.dir)
	h.daemon()
	if got := h.run("", kycAgentd("status")); got.exit != exitOK || !strings.Contains(got.out, "kept in the keyring") {
		t.Errorf("%+v", got)
	}
	got := h.run("", exec.Command(testpeer.Build(t, "kyc-token")))
	if got.exit != exitDenied || got.out != "" || !strings.Contains(got.errOut, "the keyring is locked; ") || strings.Count(got.errOut, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

// Where there is no keyring and no key, sign-ins work and everybody is told that
// they do not last.
func TestNoKeyring(t *testing.T) {
	h := newFixture(t)
	h.env = append(h.env, keyringtest.Start(t, keyringtest.NoBus).Env()...)
	h.env = append(h.env, "HOME="+h.dir, "XDG_RUNTIME_DIR="+h.dir)
	h.daemon()
	got := h.run("correct horse", kycAgentd("login", "-u", "ana", "--password-stdin"))
	got.want(t, exitOK, "staging: signed in as ana, kept until the agent stops; to keep it, run: kyc-agentd keygen && kyc-agentd reload")
}
