package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// showSignals is a command that says which signals it gets, and ends with 7 after TERM. A
// shell would do, were there not the moment between its look for signals and its wait.
func showSignals() {
	got := make(chan os.Signal, 8)
	signal.Notify(got)
	fmt.Println("ready")
	for s := range got {
		switch s {
		case syscall.SIGURG: // the Go runtime's own
		case syscall.SIGTERM:
			fmt.Println(s)
			os.Exit(7)
		default:
			fmt.Println(s)
		}
	}
}

// A job is a `run` whose command says on its stdout how it is.
type job struct {
	*running
	h     *fixture
	out   *os.File
	lines *bufio.Reader
}

// runJob starts a command under `run` and waits until it says "ready".
func runJob(h *fixture, start func(*exec.Cmd) *os.File, command ...string) *job {
	h.t.Helper()
	secret := filepath.Join(h.dir, "secret")
	if err := os.WriteFile(secret, []byte("correct horse\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	cmd := kycAgentd(append([]string{"run", "-u", "ana", "--password-file", secret, "--"}, command...)...)
	cmd.Env = append([]string{}, h.env...)
	j := &job{h: h, out: start(cmd)}
	j.lines, j.running = bufio.NewReader(j.out), waitFor(cmd)
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-j.exited
		j.out.Close()
	})
	j.says("ready")
	return j
}

// piped starts cmd with its stdout in a pipe.
func piped(t *testing.T) func(*exec.Cmd) *os.File {
	return func(cmd *exec.Cmd) *os.File {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer write.Close()
		cmd.Stdout, cmd.Stderr = write, &logBuffer{t}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return read
	}
}

func (j *job) says(want string) {
	j.h.t.Helper()
	_ = j.out.SetReadDeadline(time.Now().Add(time.Minute))
	line, err := j.lines.ReadString('\n')
	if got := strings.TrimSpace(line); got != want {
		j.h.t.Fatalf("the command says %q (%v), want %q", got, err, want)
	}
}

// leavesNothing checks the end: the exit code, the folder, the sign-in.
func (j *job) leavesNothing(exit int) {
	j.h.t.Helper()
	if got := j.h.ended(j.running); got != exit {
		j.h.t.Errorf("exit %d, want %d", got, exit)
	}
	if left, _ := filepath.Glob(filepath.Join(j.h.dir, "kyc-run-*")); len(left) > 0 {
		j.h.t.Errorf("%s is left", left)
	}
	if n := j.h.cognito.Calls("RevokeToken"); n != 1 {
		j.h.t.Errorf("%d sign-ins were revoked", n)
	}
}

func TestRunForwardsSignals(t *testing.T) {
	j := runJob(newFixture(t), piped(t), filepath.Join(linkAs(t, "show-signals"), "show-signals"))
	for _, s := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM,
	} {
		if err := j.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		j.says(s.String())
	}
	j.leavesNothing(7)
}

func TestRunEndsAsItsCommandDoes(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		h := newFixture(t)
		j := runJob(h, piped(t), "sh", "-c", fmt.Sprintf("echo ready; kill -%d $$", s))
		j.leavesNothing(128 + int(s))
	}
}

// A terminal sends Ctrl-C to the whole of its foreground; the command gets it once.
func TestRunLeavesCtrlCToTheTerminal(t *testing.T) {
	var tty *os.File
	j := runJob(newFixture(t), func(cmd *exec.Cmd) *os.File {
		var err error
		if tty, err = pty.Start(cmd); err != nil {
			t.Fatal(err)
		}
		return tty
	}, filepath.Join(linkAs(t, "show-signals"), "show-signals"))
	if _, err := tty.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	j.says("^C" + syscall.SIGINT.String())
	_ = j.Process.Signal(syscall.SIGTERM) // later than whatever was forwarded before it
	j.says(syscall.SIGTERM.String())
	j.leavesNothing(7)
}

// A signal before the command's time keeps it from being started.
func TestRunIsCancelledDuringTheSignIn(t *testing.T) {
	h := newFixture(t)
	h.cognito.FailNext(cognitotest.SignIn, 1, cognitotest.Hang())
	cmd := kycAgentd("run", "-u", "ana", "--password-stdin", "--", "echo", "started")
	cmd.Env = h.env
	cmd.Stdin = strings.NewReader("correct horse\n")
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	r, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cognito.WaitCalls(t.Context(), cognitotest.SignIn, 1); err != nil {
		t.Fatal(err)
	}
	_ = r.Process.Signal(syscall.SIGTERM)
	if exit := h.ended(r); exit != exitSignalBase+int(syscall.SIGTERM) || out.Len() > 0 || strings.Count(errOut.String(), "\n") != 1 {
		t.Errorf("exit %d, stdout %q, stderr %q", exit, out.String(), errOut.String())
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "kyc-run-*")); len(left) > 0 {
		t.Errorf("%s is left", left)
	}
}

// As the first process of a container it collects what others leave behind.
func TestRunAsTheFirstProcess(t *testing.T) {
	unshare := testpeer.Program(t, "unshare", "util-linux")
	h := newFixture(t)
	if err := exec.Command(unshare, "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true").Run(); err != nil {
		t.Skipf("no user namespaces here: %v", err)
	}
	secret := filepath.Join(h.dir, "secret")
	if err := os.WriteFile(secret, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(unshare, "--user", "--map-root-user", "--pid", "--fork", "--mount-proc",
		filepath.Join(linkAsKycAgentd(t), "kyc-agentd"), "run", "-u", "ana", "--password-file", secret, "--", "sh", "-c", `
orphan=$(sh -c 'sh -c "exit 3" >/dev/null & echo $!')
i=0
while kill -0 $orphan 2>/dev/null; do # which also finds one that is dead and not collected
	[ $((i += 1)) -lt 1000000 ] || exit 4
done
echo $PPID
exit 5`)
	cmd.Env = h.env
	if got := h.run("", cmd); got.exit != 5 || got.out != "1\n" {
		t.Errorf("%+v", got)
	}
}
