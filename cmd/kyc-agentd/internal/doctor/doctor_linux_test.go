package doctor

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

func init() {
	scenarios = append(scenarios, []scenario{
		{"a locked keyring", "keyring.locked", SeverityProblem, "unlock it", func(w *fixture) { w.keyring(keyringtest.Locked) }},
		{"no keyring, where one is configured", "keyring.absent", SeverityProblem, "keygen", func(w *fixture) { w.keyring(keyringtest.NoService) }},
		{"a keyring that does not answer", "keyring.slow", SeverityProblem, "restart it", func(w *fixture) {
			w.keyring(keyringtest.Silent)
			w.look = func(p *probe) { p.limit = 3 * time.Second }
		}},
		{"a full disk", "state.full", SeverityProblem, "free some space", func(w *fixture) { w.mount("size=64k", 0) }},
		{"a read-only disk", "state.read-only", SeverityProblem, "make it writable", func(w *fixture) { w.mount("size=4m", unix.MS_RDONLY) }},
	}...)
}

// keyring ends the daemon and configures a keyring.
func (w *fixture) keyring(mode keyringtest.Mode) {
	w.end()
	w.write(".config/kyc-agent/config.toml", `store = "keyring"`, 0o600)
	for _, v := range keyringtest.Start(w.t, mode).Env() {
		if strings.HasPrefix(v, "DBUS_SESSION_BUS_ADDRESS=") {
			w.set(v)
		}
	}
}

// mount puts the state folder on a separate file system, which needs root.
func (w *fixture) mount(options string, flags uintptr) {
	w.t.Helper()
	testpeer.Root(w.t)
	dir := w.path("disk")
	w.must(os.MkdirAll(dir, 0o700))
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, "mode=700,"+options); err != nil {
		testpeer.Missing(w.t, "the right to mount", "run as root of the machine, or in a container that may mount")
	}
	w.t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	w.end()
	w.set("XDG_STATE_HOME=" + dir)
}

func TestRootBySudo(t *testing.T) {
	for vars, want := range map[string]string{
		"SUDO_UID=1000": "you are uid 0 (sudo): root has another agent, or none", "DOAS_USER=ana": "you are uid 0 (doas)", "SUDO_UID=0": "", "": "",
	} {
		if os.Getuid() != 0 {
			want = ""
		}
		p := newProbe(Options{Vars: config.Environ{vars}})
		if f, found := p.sudoVariable(t.Context()); found != (want != "") || found && !strings.Contains(f.Message, want) {
			t.Errorf("%q: %v, %+v", vars, found, f)
		}
	}
}
