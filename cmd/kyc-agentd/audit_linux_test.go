package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// With audit = "required" a full disk is no token and one line that says what to do; the sign-in
// stays, and with room again there is a token again, without a restart.
func TestAuditRequiredOnAFullDisk(t *testing.T) {
	disk := testpeer.Tmpfs(t)
	h := newFixture(t)
	h.env = append(h.env, "XDG_STATE_HOME="+disk)
	config := filepath.Join(h.dir, ".config", "kyc-agent", "config.toml")
	if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("audit = \"required\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.daemon("--store", "memory")
	h.login()
	token := func() outcome { return h.run("", exec.Command(testpeer.Build(t, "kyc-token"))) }
	if got := token(); got.exit != exitOK {
		t.Fatalf("%+v", got)
	}
	noise := filepath.Join(disk, "noise")
	if err := os.WriteFile(noise, make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("there is room")
	}
	var got outcome
	for range 20 { // the last block has room for a few lines
		if got = token(); got.exit != exitOK {
			break
		}
	}
	want := `kyc-token: audit = "required", and the audit log ` + disk + "/kyc-agent/audit.jsonl cannot be written: no space left on device; make room; the agent tries again with each request\n"
	if got.exit != exitTemporary || got.out != "" || got.errOut != want {
		t.Errorf("got  %+v\nwant %q", got, want)
	}
	if err := os.Remove(noise); err != nil {
		t.Fatal(err)
	}
	if got := token(); got.exit != exitOK {
		t.Errorf("with room again: %+v", got)
	}
	if got := h.run("", kycAgentd("audit", "verify")); got.exit != exitOK || strings.Contains(got.out, "problem") {
		t.Errorf("%+v", got)
	}
}
