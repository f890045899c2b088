package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
)

// binaries runs the shipped binaries in a home folder, with nothing of the
// caller's environment.
type binaries struct {
	t   *testing.T
	dir string
	env []string
	// under is what runs the daemon, if it is not run as it is.
	under []string
	// installed, if set, is where kyc-agentd is; see install.
	installed string
}

// newBinaries configures staging, and prod alike, for the Cognito at endpoint.
func newBinaries(t *testing.T, endpoint, pool, client string) *binaries {
	t.Helper()
	dir := testsocket.ShortDir(t)
	s := &binaries{t: t, dir: dir, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"), "LANG=C.UTF-8",
	}}
	for _, env := range []string{"STAGING", "PROD"} {
		s.env = append(s.env, "KYC_"+env+"_ENDPOINT="+endpoint, "KYC_"+env+"_USER_POOL_ID="+pool, "KYC_"+env+"_CLIENT_ID="+client)
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// fileStore makes a key for the file store and has the daemon use it.
func (s *binaries) fileStore() {
	s.t.Helper()
	key := filepath.Join(s.dir, "store.key")
	s.must("kyc-agentd", "keygen", key)
	config := filepath.Join(s.dir, ".config", "kyc-agent", "config.toml")
	if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, "store = \"file\"\nstore_key_file = %q\n", key), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *binaries) socket() string { return filepath.Join(s.dir, "run", "kyc-agentd", "agent.sock") }

func (s *binaries) client() *ipc.Client { return &ipc.Client{Socket: s.socket()} }

func (s *binaries) command(name string, args ...string) *exec.Cmd {
	s.t.Helper()
	program := s.installed
	if program == "" || name != "kyc-agentd" {
		program = testpeer.Build(s.t, name)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = slices.Clone(s.env)
	return cmd
}

// run runs a command of the project and returns its exit code and output.
func (s *binaries) run(stdin, name string, args ...string) (exit int, stdout, stderr string) {
	s.t.Helper()
	cmd := s.command(name, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if stdin != "" { // 200 at once: a pipe fewer each
		cmd.Stdin = strings.NewReader(stdin)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // nobody is at a terminal
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.t.Errorf("%s did not start: %v", name, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// must is run for a command that has to succeed; it returns stdout.
func (s *binaries) must(name string, args ...string) string {
	s.t.Helper()
	return s.mustWith("", name, args...)
}

func (s *binaries) mustWith(stdin, name string, args ...string) string {
	s.t.Helper()
	exit, out, errOut := s.run(stdin, name, args...)
	if exit != 0 {
		s.t.Fatalf("%s %s: exit %d: %s", name, strings.Join(args, " "), exit, errOut)
	}
	return out
}

// login signs in at env.
func (s *binaries) login(env, user, password string) {
	s.t.Helper()
	s.mustWith(password+"\n", "kyc-agentd", "login", env, "-u", user, "--password-stdin")
}

// A daemonProcess is a running kyc-agentd.
type daemonProcess struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  testlog.Buffer
	done chan struct{}
}

// start starts the daemon and returns when it sent READY=1.
func (s *binaries) start(args ...string) *daemonProcess {
	s.t.Helper()
	notify := filepath.Join(s.dir, "run", "notify")
	_ = os.Remove(notify)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	p := &daemonProcess{t: s.t, cmd: s.command("kyc-agentd", append([]string{"serve"}, args...)...), done: make(chan struct{})}
	if len(s.under) > 0 {
		p.cmd.Path, p.cmd.Args = s.under[0], slices.Concat(s.under[1:], []string{p.cmd.Path}, p.cmd.Args[1:])
	}
	p.cmd.Env = append(p.cmd.Env, "NOTIFY_SOCKET="+notify)
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
		_ = conn.SetReadDeadline(time.Now())
	}()
	s.t.Cleanup(p.kill)
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			p.kill()
			s.t.Fatalf("kyc-agentd did not get ready: %v\n%s", err, p.log.String())
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			return p
		}
	}
}

// kill is SIGKILL, and the wait for the end.
func (p *daemonProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop is SIGTERM; the daemon must exit 0.
func (p *daemonProcess) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		p.kill()
		p.t.Fatal("kyc-agentd did not stop on SIGTERM")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Fatalf("kyc-agentd exited %d on SIGTERM\n%s", code, p.log.String())
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
