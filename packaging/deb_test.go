package packaging_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

const enabledLink = "/etc/systemd/user/sockets.target.wants/kyc-agentd.socket"

// A bootedSystem runs commands on a booted machine and checks their exit codes.
type bootedSystem struct {
	t       *testing.T
	machine *roots.Machine
}

// must runs a line, which must exit with code exit, and returns its output.
func (s *bootedSystem) must(exit int, user, line, stdin string) string {
	s.t.Helper()
	out, got := s.machine.Run(user, line, stdin)
	if got != exit {
		s.t.Fatalf("exit code %d, want %d", got, exit)
	}
	return out
}

func (s *bootedSystem) root(line string) string { s.t.Helper(); return s.must(0, "root", line, "") }
func (s *bootedSystem) user(line string) string { s.t.Helper(); return s.must(0, roots.User, line, "") }
func (s *bootedSystem) says(line, want string) string {
	s.t.Helper()
	return s.match(s.user(line), want)
}

// match checks that the pattern matches all of out.
func (s *bootedSystem) match(out, pattern string) string {
	s.t.Helper()
	if !regexp.MustCompile(`\A(?:` + pattern + `)\z`).MatchString(out) {
		s.t.Fatalf("got %q, want %s", out, pattern)
	}
	return out
}

func (s *bootedSystem) exists(path string) bool {
	s.t.Helper()
	_, err := os.Lstat(s.machine.Path(path))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

const aToken = `eyJ[\w-]+\.[\w-]+\.[\w-]+\n`

// testDeb installs, uses, upgrades, removes and purges the package. The user is logged in
// before it is installed.
func testDeb(s *bootedSystem) {
	cognito := cognitotest.New()
	s.t.Cleanup(cognito.Close)
	cognito.AddUser(cognitotest.User{Name: "ana", Password: "correct horse"})
	config := filepath.Join("/home", roots.User, ".config/kyc-agent")
	s.user("mkdir -p ~/.config/kyc-agent; systemctl --user is-active default.target")
	err := os.WriteFile(s.machine.Path(config+"/config.toml"), fmt.Appendf(nil,
		"[environments.prod]\nendpoint = %q\nuser_pool_id = %q\nclient_id = %q\n",
		cognito.URL, cognito.PoolID, cognito.ClientID), 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	before := s.everything()

	s.root("dpkg -i kyc-agent_1.0.0-1_amd64.deb")
	if !s.exists(enabledLink) {
		s.t.Errorf("there is no %s", enabledLink)
	}
	s.match(s.root("stat -c '%A %U:%G' /usr/bin/kyc-agentd && dpkg --verify kyc-agent"), "-rwx--x--x root:root\n")
	s.says("systemctl --user is-enabled kyc-agentd.socket", "enabled\n")
	s.says("systemctl --user is-active kyc-agentd.socket", "active\n") // without another login
	s.must(77, roots.User, "kyc-token prod", "")
	// From nothing to a token: dpkg, login and kyc-token, and on a server loginctl enable-linger. The
	// login offers the key that a server lacks, so nothing has to be restarted.
	const login = "script -qec 'kyc-agentd login -u ana prod' /dev/null"
	s.match(s.must(0, roots.User, login, "correct horse\n\n"), `(?s).*\[Y/n\].*prod: signed in as ana, kept in files \(.*`)
	s.says("kyc-token prod", aToken)
	s.user("systemctl --user restart kyc-agentd.service")
	token := s.says("kyc-token prod", aToken)
	s.match(s.must(0, roots.User, "env -i /usr/bin/kyc-token prod", ""), regexp.QuoteMeta(token)) // as from cron
	s.user("kyc-agentd status")
	s.must(77, roots.User, "kyc-agentd login -u ana --password-stdin prod", "wrong\n")
	// What starts itself again, or another program, can do so although it cannot be read.
	const run = "kyc-agentd run -u ana --password-stdin prod -- kyc-token prod"
	s.match(s.must(0, roots.User, run, "correct horse\n"), "(?s)(.*\n)?"+aToken)
	const aside = "mkdir -m 0700 $XDG_RUNTIME_DIR/aside && KYC_AGENT_SOCK=$XDG_RUNTIME_DIR/aside/agent.sock "
	s.match(s.user(aside+"timeout 5 kyc-agentd serve --store keyring 2>&1; rm -r $XDG_RUNTIME_DIR/aside"), "(?s).*no (session bus|secret service).*")
	// Linux does not tell the agent which program a process runs that cannot be read.
	s.match(s.root("journalctl -o cat | grep '^request op=login '"), `request op=login .* exe="kyc-agentd, child of /[^"]+" .*\n`)

	// An upgrade does not restart the agent. After a restart the new one has the same sign-in.
	socket := s.inode()
	s.match(s.root("dpkg -i kyc-agent_1.1.0-1_amd64.deb"), `(?s).*systemctl --user daemon-reload && systemctl --user restart kyc-agentd\.service\n.*`)
	s.says("kyc-token prod", regexp.QuoteMeta(token))
	s.user("systemctl --user daemon-reload && systemctl --user restart kyc-agentd.service")
	s.says("kyc-token prod", aToken)
	s.match(s.user("kyc-agentd status"), `(?s)kyc-agentd v1\.1\.0.*prod .* ana .*`)
	if now := s.inode(); now != socket {
		s.t.Errorf("the socket is another one: inode %s, was %s", now, socket)
	}

	// An upgrade keeps the administrator's choice.
	s.root("systemctl --global disable kyc-agentd.socket")
	s.root("dpkg -i kyc-agent_1.1.0-1_amd64.deb")
	s.match(s.must(1, roots.User, "systemctl --user is-enabled kyc-agentd.socket", ""), "disabled\n")
	s.root("systemctl --global enable kyc-agentd.socket")

	const agents = "grep -lx kyc-agentd /proc/[0-9]*/comm || true"
	s.match(s.root(agents), "/proc/[0-9]+/comm\n")
	s.root("dpkg --remove kyc-agent")
	s.must(127, roots.User, "kyc-token prod", "")
	s.match(s.root(agents), "")
	if s.exists("/run/user/1000/kyc-agentd/agent.sock") {
		s.t.Error("the socket is still there")
	}
	s.root("dpkg --purge kyc-agent")
	if after := s.everything(); !slices.Equal(before, after) {
		s.t.Errorf("purge leaves %q", difference(after, before))
		s.t.Errorf("purge took %q", difference(before, after))
	}
	// The sign-in belongs to the user, so purge keeps it.
	if !s.exists(filepath.Join("/home", roots.User, ".local/state/kyc-agent")) {
		s.t.Error("purge took the sign-ins of the user")
	}
	if cognito.SignIns() != 2 { // the other one was that of run
		s.t.Errorf("%d sign-ins, want the only one to be kept", cognito.SignIns())
	}
}

// inode identifies the socket, to distinguish it from another one with the same path.
func (s *bootedSystem) inode() string {
	s.t.Helper()
	return s.user("stat -c %i $XDG_RUNTIME_DIR/kyc-agentd/agent.sock")
}

// everything lists the files of the system, without those that dpkg and systemd write
// while they work, and without home folders.
func (s *bootedSystem) everything() []string {
	s.t.Helper()
	out, exit := s.machine.Run("root", `find / -xdev \( -path /home -o -path /root -o -path /var/log -o -path /var/lib/systemd/linger \) -prune `+
		`-o ! -path '/var/lib/dpkg/*-old' -printf '%p -> %l\n' | sort >/root/files`, "")
	if exit != 0 {
		s.t.Fatal(out)
	}
	content, err := os.ReadFile(s.machine.Path("/root/files"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Split(string(content), "\n")
}

// difference returns the strings of a that are not in b.
func difference(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
