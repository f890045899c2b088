package packaging_test

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestSocketActivation starts the daemon by systemd's own program at the first connection,
// with the command line and the descriptor's name from the units.
func TestSocketActivation(t *testing.T) {
	testpeer.Slow(t)
	activate := testpeer.Program(t, "systemd-socket-activate", "systemd")
	client := testpeer.Build(t, "kyc-token")
	command := strings.Fields(readUnit(t, serviceUnit).one(t, "Service.ExecStart"))
	name := readUnit(t, socketUnit).one(t, "Socket.FileDescriptorName")

	home, err := os.MkdirTemp("", "kyc-activation-") // t.TempDir can be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	socket := filepath.Join(home, "agent.sock")
	args := []string{"-l", socket, "--fdname=" + name, "-E", "HOME=" + home, "-E", "XDG_RUNTIME_DIR=" + home,
		testpeer.Build(t, "kyc-agentd")}
	cmd := exec.CommandContext(t.Context(), activate, append(args, command[1:]...)...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It prints on stderr that it listens; later the same process becomes the daemon.
	lines := &lines{scanner: bufio.NewScanner(log)}
	lines.await(t, "Listening on "+socket)

	ask := exec.CommandContext(t.Context(), client, "-socket", socket, "prod")
	ask.Env = []string{"HOME=" + home}
	var stdout, stderr bytes.Buffer
	ask.Stdout, ask.Stderr = &stdout, &stderr
	_ = ask.Run()
	const want = "kyc-token: prod: not signed in; run: kyc-agentd login prod\n"
	if ask.ProcessState.ExitCode() != 77 || stdout.Len() != 0 || stderr.String() != want {
		t.Errorf("kyc-token: exit code %d, stdout %q, stderr %q; want 77, none, %q",
			ask.ProcessState.ExitCode(), &stdout, &stderr, want)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest := lines.rest()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the daemon ended with %v; it logged:\n%s", err, rest)
	}
	// The socket belongs to systemd: removing it would end the activation.
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("the daemon removed systemd's socket: %v", err)
	}
	if conn, err := net.Dial("unix", socket); err == nil {
		conn.Close()
		t.Error("the socket still accepts connections")
	}
}

// lines reads a program's log.
type lines struct {
	scanner *bufio.Scanner
	seen    []string
}

// await reads until a line contains part.
func (l *lines) await(t *testing.T, part string) {
	t.Helper()
	for l.scanner.Scan() {
		l.seen = append(l.seen, l.scanner.Text())
		if strings.Contains(l.scanner.Text(), part) {
			return
		}
	}
	t.Fatalf("no line with %q; there were:\n%s", part, strings.Join(l.seen, "\n"))
}

// rest reads to the end and returns every line.
func (l *lines) rest() string {
	for l.scanner.Scan() {
		l.seen = append(l.seen, l.scanner.Text())
	}
	return strings.Join(l.seen, "\n")
}
