package packaging_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

// TestBooted tests approvals, the audit log and the lock where systemd is process 1, with the
// machine's own logind, journald, polkit and buses. The scenarios of one machine follow each
// other, with one user who is signed in to two environments, of which staging needs approvals.
func TestBooted(t *testing.T) {
	testpeer.Long(t)
	for _, suite := range []roots.Suite{roots.Bookworm, roots.Trixie} {
		t.Run(string(suite), func(t *testing.T) {
			t.Parallel() // they wait more than they work
			booted := installedOn(t, suite)
			booted.signIn()
			for _, scenario := range []struct {
				name string
				test func(*bootedSystem)
			}{
				{"approvals of services", testServiceApprovals},
				{"approvals of timers", testTimerApprovals},
				{"approvals of system units", testSystemApprovals},
				{"the audit log and the journal", testAuditJournal},
				{"the audit log without the journal", testAuditWithoutJournal},
				{"lock, and upgrade in the same process", testBootedLock},
				{"a lock with the screen", testScreenLock},
				{"a lock before a suspend", testSuspendLock},
			} {
				t.Run(scenario.name, func(t *testing.T) { scenario.test(&bootedSystem{t, booted.machine}) })
			}
		})
	}
}

// installedOn boots a machine with the files of the packages, whose user stays logged in.
func installedOn(t *testing.T, suite roots.Suite) *bootedSystem {
	t.Helper()
	s := &bootedSystem{t, roots.Boot(t, suite)}
	s.machine.Copy(testpeer.Build(t, "kyc-agentd"), "/usr/bin/kyc-agentd", 0o711)
	s.machine.Copy(testpeer.Build(t, "kyc-token"), "/usr/bin/kyc-token", 0o755)
	for _, unit := range []string{"kyc-agentd.socket", "kyc-agentd-extra.socket", "kyc-agentd.service"} {
		s.machine.Copy(filepath.Join("systemd", unit), "/etc/systemd/user/"+unit, 0o644)
	}
	s.root("systemctl --global enable kyc-agentd.socket")
	return s
}

// write writes a file of the machine.
func (s *bootedSystem) write(path, text string, mode os.FileMode) {
	s.t.Helper()
	path = s.machine.Path(path)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

const bootedPassword = "correct horse"

// signIn configures and starts the agent, and signs in.
func (s *bootedSystem) signIn() {
	s.t.Helper()
	cognito := cognitotest.New()
	s.t.Cleanup(cognito.Close)
	cognito.AddUser(cognitotest.User{Name: "ana", Password: bootedPassword})
	var config strings.Builder
	config.WriteString("forward_environments = [\"prod\"]\nauto_lock = { on_screen_lock = true, on_suspend = true }\n")
	for _, env := range []string{"prod", "staging"} {
		config.WriteString(fmt.Sprintf("[environments.%s]\nendpoint = %q\nuser_pool_id = %q\nclient_id = %q\nconfirm = %t\n",
			env, cognito.URL, cognito.PoolID, cognito.ClientID, env == "staging"))
	}
	s.root("loginctl enable-linger " + roots.User)
	s.user("mkdir -p ~/.config/kyc-agent")
	s.write("/home/"+roots.User+"/.config/kyc-agent/config.toml", config.String(), 0o644)
	s.write("/etc/systemd/user/kyc-agentd.service.d/50-test.conf", "[Service]\nWatchdogSec=2s\n", 0o644)
	s.user("systemctl --user daemon-reload && systemctl --user start kyc-agentd.socket kyc-agentd-extra.socket && kyc-agentd keygen")
	s.login("prod")
	s.login("staging")
	s.says("kyc-token prod", aToken)
}

func (s *bootedSystem) login(env string) {
	s.t.Helper()
	s.must(0, roots.User, "kyc-agentd login -u ana --password-stdin "+env, bootedPassword+"\n")
}

// await waits until a condition of shell is true for the user.
func (s *bootedSystem) await(condition string) {
	s.t.Helper()
	s.user("timeout 20 sh -c '" + awaited(condition) + "'")
}

// awaited is shell that waits for a condition, and fails with the timeout of the whole.
func awaited(condition string) string { return "until " + condition + "; do sleep 0.05; done" }

// property returns a property of the agent's service.
func (s *bootedSystem) property(name string) string {
	s.t.Helper()
	return s.user("systemctl --user show -P " + name + " kyc-agentd.service")
}

// find returns the group of a pattern that must be in text.
func (s *bootedSystem) find(text, pattern string) string {
	s.t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		s.t.Fatalf("%q has no %s", text, pattern)
	}
	return found[len(found)-1]
}
