package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// onDisk moves the fixture's home to a small file system.
func (h *fixture) onDisk() (home string) {
	h.t.Helper()
	home = testpeer.Tmpfs(h.t)
	h.env = append(h.env, "HOME="+home)
	return home
}

// Where no key says that sign-ins are to last, a home that cannot be written does no
// harm. Where one does, the daemon does not start, and says what is in the way.
func TestReadOnlyHome(t *testing.T) {
	testpeer.Slow(t)
	h := newFixture(t)
	home := h.onDisk()
	readOnly := func(flags uintptr) { testpeer.Mount(t, "", home, "", unix.MS_REMOUNT|flags, "") }

	readOnly(unix.MS_RDONLY)
	d := h.daemon()
	h.login()
	h.token("staging")
	if got := h.run("", kycAgentd("status")); !strings.Contains(got.out, "sign-ins are kept in memory, only until the daemon stops\nsign-ins end with the daemon; to keep them in files, run: kyc-agentd keygen") {
		t.Errorf("%+v", got)
	}
	_ = d.Process.Kill()
	<-d.exited

	readOnly(0)
	if got := h.run("", kycAgentd("keygen")); got.exit != exitOK {
		t.Fatalf("%+v", got)
	}
	readOnly(unix.MS_RDONLY)
	got := h.run("", kycAgentd("serve"))
	got.want(t, exitConfiguration, "file store: cannot make the folder "+filepath.Join(home, ".local/state/kyc-agent")+
		": read-only file system; mount it writable, or set XDG_STATE_HOME to a folder that is")
}

// A home that is full costs nobody a token, and the sign-in nothing once there is
// space again, though its refresh token was rotated meanwhile.
func TestFullHome(t *testing.T) {
	h := newFixture(t, cognitotest.Rotation(0))
	home := h.onDisk()
	if got := h.run("", kycAgentd("keygen")); got.exit != exitOK {
		t.Fatalf("%+v", got)
	}
	d := h.daemon("--store", "file")
	h.login()
	h.stop(d)
	d = h.daemon("--store", "file")
	fill := filepath.Join(home, "fill")
	if err := os.WriteFile(fill, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	h.token("staging") // by a refresh, which rotates
	if got := h.run("", kycAgentd("status")); !strings.Contains(got.out, "staging (default)  unsaved ") || !strings.Contains(got.out, "no space left on device; free some space there") {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	h.stop(d)
	h.daemon("--store", "file")
	h.token("staging")
	if n := h.cognito.SignIns(); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}
