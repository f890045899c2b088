package packaging_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/packaging/usermanager"
)

// TestService installs the product for an ordinary user, as `make install` does, and tests
// it under the user manager of this machine's systemd.
func TestService(t *testing.T) {
	usermanager.Run(t, func() usermanager.Machine { return newInstalled(t, "") }, testService)
}

// newInstalled returns the machine at root with the product installed.
func newInstalled(t *testing.T, root string) usermanager.Machine {
	t.Helper()
	return usermanager.Machine{Root: root, Home: newHome(t), Keep: []string{"KYC_ACTIVATIONS"}}
}

// testService runs inside. Each scenario begins without a sign-in, and with a service that
// is enabled but not started.
func testService(t *testing.T) {
	for _, scenario := range []struct {
		name string
		test func(*service)
	}{
		{"the first client starts it", testFirstClient},
		{"activations", testActivations},
		{"started means ready", testReady},
		{"reload waits", testReload},
		{"a configuration that cannot be used", testBrokenConfiguration},
		{"half-installed", testHalfInstalled},
		{"a credential from the socket", testCredential},
		{"the agent's own credentials", testOwnCredentials},
		{"the documented credentials", testDocumentedCredentials},
		{"credentials that are missing", testMissingCredentials},
		{"starts that fail", testStartsThatFail},
		{"the watchdog", testWatchdog},
		{"killed again and again", testKilled},
		{"killed under 50 clients", testCrash},
		{"stopped in mid-refresh", testStopInMidRefresh},
		{"upgrade in place", testUpgrade},
		{"lock, and upgrade in the same process", testLock},
		{"the journal", testJournal},
		{"the doctor", testDoctor},
		{"start, stop and restart", testVerbs},
		{"stop waits", testStopWaits},
		{"the doctor repairs", testFixes},
		{"namespaces", testNamespaces},
		{"token files", testTokenFiles},
		{"the extra socket", testForwarding},
		{"the socket is removed", testVanishedSocket},
		{"no runtime directory", testRuntimeDirectory},
		{"units that hide the socket", testProtectedUnits},
		{"approvals", testApprovals},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.test(newService(t)) })
	}
}

// newHome returns a folder with the files of the user's home: the product, and the files
// that the tests need.
func newHome(t *testing.T) string {
	t.Helper()
	m, stage := newMakeEnv(t), t.TempDir()
	home := filepath.Join(stage, usermanager.Home)
	m.mustRun("install", "DESTDIR="+stage, "HOME="+usermanager.Home)
	m.mustRun("kyc-agentd", "BIN="+filepath.Join(home, "next"), "VERSION="+nextVersion)
	for _, file := range []string{namespaceDropIn, "../docs/operations.md"} {
		copyFile(t, file, filepath.Join(home, filepath.Base(file)))
	}
	return home
}

// nextVersion is the version of ~/next/kyc-agentd.
const nextVersion = "v999.0.0"

// A service is the installed product with a simulated Cognito.
type service struct {
	t       *testing.T
	cognito *cognitotest.Server
}

const (
	serviceName = "kyc-agentd.service"
	socketName  = "kyc-agentd.socket"
	extraName   = "kyc-agentd-extra.socket"
)

// newService restores the state after the installation and enables the socket.
func newService(t *testing.T) *service {
	t.Helper()
	s := &service{t, cognitotest.New(cognitotest.Rotation(time.Minute))}
	t.Cleanup(s.cognito.Close)
	s.cognito.AddUser(cognitotest.User{Name: "ana", Password: "correct horse"})
	s.systemctl("disable", "--now", extraName)
	s.systemctl("stop", socketName, serviceName)
	for _, path := range []string{".local/state/kyc-agent", ".config/kyc-agent", units + serviceName + ".d", units + socketName + ".d"} {
		if err := os.RemoveAll(atHome(path)); err != nil {
			t.Fatal(err)
		}
	}
	s.configure("")
	s.must("kyc-agentd", "keygen")
	s.systemctl("daemon-reload")
	_ = exec.Command("systemctl", "--user", "reset-failed", serviceName, socketName).Run() // after the previous test
	s.systemctl("enable", "--now", socketName)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal:\n%s", s.run("", "journalctl", "--user", "-u", serviceName, "-u", socketName, "-n", "40").out)
		}
	})
	return s
}

// units is the folder into which `make install` puts the units.
const units = ".config/systemd/user/"

func atHome(path string) string { return filepath.Join(usermanager.Home, path) }

func socketPath() string {
	return filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "kyc-agentd", "agent.sock")
}

// configure writes a config.toml with keys and with s's Cognito for both environments.
func (s *service) configure(keys string) {
	s.t.Helper()
	for _, env := range []string{"staging", "prod"} {
		keys += fmt.Sprintf("\n[environments.%s]\nendpoint = %q\nuser_pool_id = %q\nclient_id = %q\n",
			env, s.cognito.URL, s.cognito.PoolID, s.cognito.ClientID)
	}
	s.write(".config/kyc-agent/config.toml", keys)
}

func (s *service) write(path, text string) {
	s.t.Helper()
	path = atHome(path)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// dropIn adds a drop-in to a unit.
func (s *service) dropIn(unit, text string) {
	s.t.Helper()
	s.write(units+unit+".d/50-test.conf", text)
	s.systemctl("daemon-reload")
}

// An outcome is the exit code and the output of a command.
type outcome struct {
	exit     int
	out, err string
}

func (s *service) run(stdin, name string, args ...string) outcome {
	var out, errOut bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); cmd.ProcessState == nil {
		return outcome{-1, "", err.Error()}
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// must returns the output of a command that has to succeed.
func (s *service) must(name string, args ...string) string {
	s.t.Helper()
	return s.mustWith("", name, args...)
}

func (s *service) mustWith(stdin, name string, args ...string) string {
	s.t.Helper()
	got := s.run(stdin, name, args...)
	if got.exit != 0 {
		s.t.Fatalf("%s %s: exit %d: %s%s", name, strings.Join(args, " "), got.exit, got.out, got.err)
	}
	return got.out
}

func (s *service) systemctl(args ...string) string {
	s.t.Helper()
	return s.must("systemctl", append([]string{"--user"}, args...)...)
}

// property returns a property of the service, as `systemctl show` prints it.
func (s *service) property(name string) string {
	s.t.Helper()
	return strings.TrimSpace(s.systemctl("show", "--value", "--property", name, serviceName))
}

func (s *service) expectProperty(name, want string) {
	s.t.Helper()
	if got := s.property(name); got != want {
		s.t.Errorf("%s is %q, want %q", name, got, want)
	}
}

// pid returns the daemon's process id, 0 if it does not run.
func (s *service) pid() int {
	s.t.Helper()
	pid, err := strconv.Atoi(s.property("MainPID"))
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

func (s *service) login() {
	s.t.Helper()
	s.mustWith("correct horse\n", "kyc-agentd", "login", "-u", "ana", "--password-stdin")
}

// expectToken checks that a client gets a token.
func (s *service) expectToken() {
	s.t.Helper()
	if got := s.run("", "kyc-token"); got.exit != 0 || !strings.HasPrefix(got.out, "eyJ") {
		s.t.Errorf("kyc-token: %+v", got)
	}
}

// await waits until ok returns true.
func (s *service) await(what string, ok func() bool) {
	s.t.Helper()
	poll, end := time.NewTicker(10*time.Millisecond), time.After(time.Minute)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-end:
			s.t.Fatalf("timeout while waiting for %s", what)
		}
	}
}
