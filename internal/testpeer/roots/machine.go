package roots

import (
	"bufio"
	"crypto/rand"
	_ "embed"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

//go:embed boot.sh
var bootScript string

// bootLimit allows for a slow machine; a boot takes about a second.
const bootLimit = 2 * time.Minute

// A Machine is a booted copy of a root. Its disk is in memory and exists as long as the
// test runs. It shares this machine's network, so that it can reach a test's servers on
// loopback.
type Machine struct {
	t   testing.TB
	pid string // of its process 1
}

// Boot boots a copy of a root of suite and waits until its start is complete.
func Boot(t testing.TB, suite Suite) *Machine {
	t.Helper()
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: "@kyc-boot-" + rand.Text()})
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	cmd := exec.Command("bash", "-c", bootScript, "boot.sh", Path(t, suite), t.TempDir(), ready.LocalAddr().String())
	cmd.SysProcAttr = ownMounts()
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var failed strings.Builder
	cmd.Stderr = &failed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("boot.sh: %v\n%s", err, &failed)
		}
	})
	pid, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		err = awaitReady(ready)
	}
	if err != nil {
		t.Fatalf("%s did not boot: %v\n%s", suite, err, &failed)
	}
	return &Machine{t: t, pid: strings.TrimSpace(pid)}
}

// awaitReady waits for the message that systemd sends as process 1 when all units of
// the boot have started or failed; sd_notify(3) is the format.
func awaitReady(conn *net.UnixConn) error {
	if err := conn.SetReadDeadline(time.Now().Add(bootLimit)); err != nil {
		return err
	}
	for message := make([]byte, 4096); ; {
		n, err := conn.Read(message)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(message[:n])) {
			if strings.TrimSpace(line) == "READY=1" {
				return nil
			}
		}
	}
}

// Path returns the path by which the machine's file at an absolute path can be opened
// from outside.
func (m *Machine) Path(path string) string {
	return filepath.Join("/proc", m.pid, "root", path)
}

// Copy copies a file of this machine to the machine's path.
func (m *Machine) Copy(from, to string, mode os.FileMode) {
	m.t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.Path(to), content, mode); err != nil {
		m.t.Fatal(err)
	}
}

// longWord matches a word that is too long for a log, such as a token.
var longWord = regexp.MustCompile(`(\S{60})\S{60,}`)

// Run runs a line of shell as user, with the environment and the user manager of a
// login, and returns its output and its exit code. The line and the output are written
// to the test's log.
func (m *Machine) Run(user, line, stdin string) (output string, exit int) {
	m.t.Helper()
	// The unit keeps the command in the machine's own control groups, where logind
	// must find it.
	cmd := exec.CommandContext(m.t.Context(), "nsenter", "--target", m.pid,
		"--mount", "--pid", "--ipc", "--uts", "--cgroup", "--root", "--wd=/",
		"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--uid="+user,
		"--property=PAMName=login", "--property=WorkingDirectory=~",
		"sh", "-c", line)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	exited, ok := errors.AsType[*exec.ExitError](err)
	if err != nil && !ok {
		m.t.Fatal(err)
	}
	prompt := "$ "
	if user == "root" {
		prompt = "# "
	}
	m.t.Logf("%s%s\n%s", prompt, line, longWord.ReplaceAll(out, []byte("$1…")))
	if exited != nil {
		exit = exited.ExitCode()
	}
	return string(out), exit
}
