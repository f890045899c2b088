package roots_test

import (
	"os"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

func TestBoot(t *testing.T) {
	testpeer.Long(t)
	for suite, systemd := range map[roots.Suite]string{roots.Bookworm: "systemd 252", roots.Trixie: "systemd 257"} {
		t.Run(string(suite), func(t *testing.T) {
			m := roots.Boot(t, suite)
			if out, exit := m.Run("root", "systemctl is-system-running", ""); exit != 0 || out != "running\n" {
				t.Error("not everything runs")
				m.Run("root", "systemctl --failed; journalctl -b -p warning", "")
			}
			if out, _ := m.Run("root", "systemctl --version", ""); !strings.HasPrefix(out, systemd) {
				t.Errorf("want %s", systemd)
			}
			// A login has a user manager and the standard input that it was given.
			out, exit := m.Run(roots.User, "id -un; echo $XDG_RUNTIME_DIR; systemctl --user is-active default.target; cat; exit 7", "text")
			if want := roots.User + "\n/run/user/1000\nactive\ntext"; out != want || exit != 7 {
				t.Errorf("exit %d, %q; want 7, %q", exit, out, want)
			}
			if err := os.WriteFile(m.Path("/etc/here"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(roots.Path(t, suite) + "/etc/here"); err == nil {
				t.Error("the machine's disk is the root itself")
			}
		})
	}
}
