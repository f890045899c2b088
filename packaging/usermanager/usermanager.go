// Package usermanager runs tests inside a real `systemd --user`, whatever PID 1 of the
// machine is:
//
//	func TestService(t *testing.T) {
//		usermanager.Run(t, func() usermanager.Machine {
//			return usermanager.Machine{Home: files} // this function runs outside, as root
//		}, func(t *testing.T) {
//			out, err := exec.Command("systemctl", "--user", "start", "x.service").CombinedOutput()
//		})
//	}
//
// packaging/systemd/user-systemd starts the test binary a second time, with only this
// test. There Run calls the body, as an ordinary user with a new bus and journal. What the
// body starts and changes is gone at the end. The network and /tmp are shared with the
// machine outside; other files for the body come from the Home of the Machine.
package usermanager

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// User is the user who runs the body, and Home is the user's home folder.
const (
	User = "tester"
	Home = "/home/" + User
)

// A Machine is the system in which a body runs.
type Machine struct {
	Root string   // a tree made by debootstrap; "" is this machine
	Home string   // a folder; its files are copied into the user's home
	Keep []string // names of variables to pass to the body
}

// inside is the variable that is set in the process that runs the body.
const inside = "KYC_USER_MANAGER"

// exitNoManager is the exit status of user-systemd if it could not run the command.
const exitNoManager = 125

// Run runs body, a part of the test t, inside a user manager on the machine that outside
// returns. It skips or fails the test, as testpeer.Missing does, if no user manager can be
// started: that needs root, cgroup2 and systemd.
func Run(t *testing.T, outside func() Machine, body func(*testing.T)) {
	t.Helper()
	if os.Getenv(inside) != "" {
		body(t)
		return
	}
	testpeer.Slow(t)
	testpeer.Root(t)
	cmd := command(t, outside())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = t.Output(), io.MultiWriter(&said, t.Output())
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == exitNoManager {
		testpeer.Missing(t, "a user manager", strings.TrimSpace(said.String()))
	}
	if err != nil {
		t.Errorf("the tests inside: %v", err)
	}
}

// command returns a command that runs only the test t of this test binary inside m.
func command(t *testing.T, m Machine) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seen := "/run/" + filepath.Base(self) // go test makes it in a folder that only root can open
	args := []string{"--user", User, "--bind", self + ":" + seen, "--env", inside + "=1"}
	for _, name := range append(m.Keep, "KYC_REQUIRE_PEERS", "KYC_TEST_LONG") {
		if value := os.Getenv(name); value != "" {
			args = append(args, "--env", name+"="+value)
		}
	}
	if m.Root != "" {
		args = append(args, "--root", m.Root)
	}
	if m.Home != "" {
		args = append(args, "--home", m.Home)
	}
	args = append(args, "--", seen, "-test.v", "-test.run="+pattern(t.Name()))
	if end, ok := t.Deadline(); ok { // earlier than here, so that it prints where it hangs and the manager is stopped
		args = append(args, "-test.timeout="+time.Until(end.Add(-10*time.Second)).String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(testpeer.ModuleRoot(), "packaging", "systemd", "user-systemd"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

// pattern returns -test.run for the test called name, followed by the patterns for
// subtests that this process was given. Each pattern between two slashes is put in
// parentheses, because it may contain '|'.
func pattern(name string) string {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	given := strings.Split(flag.Lookup("test.run").Value.String(), "/")
	for _, part := range given[min(len(given), len(parts)):] {
		parts = append(parts, "("+part+")")
	}
	return strings.Join(parts, "/")
}
