package packaging_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

// testRPM installs, upgrades and erases the package. It does not use Fedora but this
// machine's rpm, on a Debian whose presets disable every unit that no other preset enables,
// as Fedora's do.
func testRPM(t *testing.T, first, next string) {
	rpm := testpeer.Program(t, "rpm", "rpm")
	s := &bootedSystem{t: t, machine: roots.Boot(t, roots.Trixie)}
	if err := os.MkdirAll(s.machine.Path("/etc/systemd/user-preset"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.machine.Path("/etc/systemd/user-preset/99-default.preset"), []byte("disable *\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), rpm, append([]string{"--root", s.machine.Path("/")}, args...)...).CombinedOutput()
		t.Logf("# rpm %s\n%s", strings.Join(args, " "), out)
		if err != nil {
			t.Fatal(err)
		}
	}
	run("--initdb")
	// A login makes files, so it comes before the list of files. Fedora has these folders.
	s.user("true")
	s.root("mkdir -p /usr/share/licenses /usr/share/zsh/site-functions")
	before := s.everything()
	run("--install", "--nodeps", first) // rpm's database does not have Debian's packages
	run("--verify", "--nodeps", "kyc-agent")
	s.match(s.root("stat -c '%A %U:%G' /usr/bin/kyc-agentd"), "-rwx--x--x root:root\n")
	if !s.exists(enabledLink) {
		t.Error("the preset has no effect")
	}
	// The package does not reload running managers; the next login finds the socket.
	s.user("systemctl --user daemon-reload && systemctl --user start sockets.target kyc-agentd.socket")
	s.must(77, roots.User, "kyc-token prod", "")
	s.match(s.user("kyc-agentd version"), "kyc-agentd v1.0.0\n")

	s.root("systemctl --global disable kyc-agentd.socket")
	run("--upgrade", "--nodeps", next)
	s.match(s.user("kyc-agentd version"), "kyc-agentd v1.1.0\n")
	if s.exists(enabledLink) {
		t.Error("an upgrade enables what the administrator disabled")
	}
	s.root("systemctl --global enable kyc-agentd.socket")
	run("--erase", "kyc-agent")
	if after := s.everything(); !slices.Equal(before, after) {
		t.Errorf("erase leaves %q and took %q", difference(after, before), difference(before, after))
	}
}
