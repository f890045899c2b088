package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// kycAgentd is a command that runs the test binary as kyc-agentd.
func kycAgentd(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "kyc-agentd"
	return cmd
}

// running is a process whose end can be waited for by many.
type running struct {
	*exec.Cmd
	exited chan struct{}
}

func start(cmd *exec.Cmd) (*running, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return waitFor(cmd), nil
}

// waitFor is cmd, which was started.
func waitFor(cmd *exec.Cmd) *running {
	r := &running{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(r.exited)
	}()
	return r
}

// launch starts a daemon and waits until it is ready, by NOTIFY_SOCKET as systemd
// does. The socket is made in dir for that long.
func launch(cmd *exec.Cmd, dir string) (*running, error) {
	notify := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer os.Remove(notify)
	defer conn.Close()
	_ = os.Chmod(notify, 0o666) // for a daemon of another user
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+notify)
	r, err := start(cmd)
	if err != nil {
		return nil, err
	}
	go func() {
		<-r.exited
		_ = conn.SetReadDeadline(time.Now())
	}()
	if err := awaitReady(conn); err != nil {
		_ = r.Process.Kill()
		<-r.exited
		return nil, err
	}
	return r, nil
}

func awaitReady(conn *net.UnixConn) error {
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return errors.New("the daemon did not get ready; its log says why")
		}
		if strings.HasPrefix(string(buf[:n]), "READY=1\nSTATUS=") {
			return nil
		}
	}
}

// A fixture is a home folder with a Cognito, for the test binary as kyc-agentd.
type fixture struct {
	t       *testing.T
	dir     string
	env     []string
	cognito *cognitotest.Server
}

func newFixture(t *testing.T, options ...cognitotest.Option) *fixture {
	t.Helper()
	srv := cognitotest.New(options...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: "ana", Password: "correct horse"})
	dir := testsocket.ShortDir(t)
	return &fixture{t: t, dir: dir, cognito: srv, env: []string{
		"GOCOVERDIR=" + dir, // under -cover each process would say on stderr that it has none
		testpeer.NoRaceSleep, "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm",
		"KYC_STAGING_ENDPOINT=" + srv.URL, "KYC_STAGING_USER_POOL_ID=" + srv.PoolID, "KYC_STAGING_CLIENT_ID=" + srv.ClientID,
	}}
}

// alsoProd has the Cognito of staging be that of prod.
func (h *fixture) alsoProd() {
	h.env = append(h.env, "KYC_PROD_ENDPOINT="+h.cognito.URL, "KYC_PROD_USER_POOL_ID="+h.cognito.PoolID, "KYC_PROD_CLIENT_ID="+h.cognito.ClientID)
}

func (h *fixture) socket() string { return filepath.Join(h.dir, "kyc-agentd", "agent.sock") }

// daemon starts one that is killed at the end of the test.
func (h *fixture) daemon(args ...string) *running {
	h.t.Helper()
	return h.launched(h.serve(args...))
}

// serve is the command of a daemon, which shows its log when the test fails.
func (h *fixture) serve(args ...string) *exec.Cmd {
	cmd := kycAgentd(append([]string{"serve"}, args...)...)
	cmd.Env, cmd.Stderr = append([]string{}, h.env...), &logBuffer{t: h.t}
	return cmd
}

// launched starts cmd, a daemon, and kills it at the end of the test.
func (h *fixture) launched(cmd *exec.Cmd) *running {
	h.t.Helper()
	r, err := launch(cmd, h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = r.Process.Kill()
		<-r.exited
	})
	return r
}

// logBuffer shows a daemon's log when its test fails.
type logBuffer struct{ t *testing.T }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.t.Logf("daemon: %s", bytes.TrimSpace(p))
	return len(p), nil
}

// run runs a command with stdin and returns its outcome.
func (h *fixture) run(stdin string, cmd *exec.Cmd) outcome {
	h.t.Helper()
	var out, errOut bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = h.env, strings.NewReader(stdin), &out, &errOut
	_ = cmd.Run()
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

func (h *fixture) login() {
	h.t.Helper()
	if got := h.run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin")); got.exit != 0 {
		h.t.Fatalf("%+v", got)
	}
}

// ended waits for r and returns its exit code, -1 after a signal.
func (h *fixture) ended(r *running) int {
	h.t.Helper()
	select {
	case <-r.exited:
	case <-time.After(time.Minute):
		h.t.Fatal("the process does not end")
	}
	return r.ProcessState.ExitCode()
}

// stop ends a daemon as a service manager does.
func (h *fixture) stop(d *running) {
	h.t.Helper()
	_ = d.Process.Signal(syscall.SIGTERM)
	if exit := h.ended(d); exit != exitOK {
		h.t.Errorf("exit %d", exit)
	}
}

// sessionOn runs cmd with p's terminal as its controlling terminal.
func (h *fixture) sessionOn(p *terminaltest.Person, cmd *exec.Cmd) *running {
	h.t.Helper()
	cmd.Env = h.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.TTY, p.TTY, p.TTY
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	r, err := start(cmd)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func TestLoginAtATerminal(t *testing.T) {
	h := newFixture(t)
	h.daemon("--store", "memory")
	p := terminaltest.New(t)
	r := h.sessionOn(p, kycAgentd("login"))
	p.Sees("Which user? ")
	p.Types("ana\n")
	p.Sees("Password for ana at staging? ")
	p.Types("correct horse\n")
	p.Sees("kyc-agentd: staging: signed in as ana, kept in memory, only until the daemon stops\r\n")
	if exit := h.ended(r); exit != exitOK || strings.Contains(p.Seen(), "horse") || !p.Echoes() {
		t.Errorf("exit %d, echo %t: %q", exit, p.Echoes(), p.Seen())
	}
}

// The questions go to the terminal, wherever stdin, stdout and stderr go.
func TestLoginAsksTheTerminalItself(t *testing.T) {
	h := newFixture(t)
	h.daemon("--store", "memory")
	p := terminaltest.New(t)
	cmd := kycAgentd("login", "-u", "ana")
	var out bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = h.env, &out, io.Discard
	cmd.ExtraFiles = []*os.File{p.TTY}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	r, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.Sees("Password for ana at staging? ")
	p.Types("correct horse\n")
	if exit := h.ended(r); exit != exitOK || out.Len() > 0 {
		t.Errorf("exit %d, stdout %q", exit, out.String())
	}
}

func TestLoginAsksForTheCode(t *testing.T) {
	h := newFixture(t)
	h.cognito.AddUser(cognitotest.User{Name: "grace", Password: "amazing", MFA: []string{"SOFTWARE_TOKEN_MFA"}})
	h.daemon("--store", "memory")
	grace, _ := h.cognito.User("grace")
	p := terminaltest.New(t)
	r := h.sessionOn(p, kycAgentd("login", "-u", "grace"))
	p.Sees("Password for grace at staging? ")
	p.Types("amazing\n")
	p.Sees("authenticator app")
	p.Sees("? ")
	p.Types(cognitotest.TOTP(grace.TOTPSecret, time.Now()) + "\n")
	p.Sees("signed in as grace")
	p.Sees("\n")
	if exit := h.ended(r); exit != exitOK {
		t.Errorf("exit %d: %q", exit, p.Seen())
	}
}

// However a person leaves a prompt, their shell echoes again.
func TestLoginLeavesTheTerminalAsItWas(t *testing.T) {
	leave := map[string]struct {
		leaves func(*terminaltest.Person, *running)
		exit   int
	}{
		"Ctrl-C":   {func(p *terminaltest.Person, _ *running) { p.Types("\x03") }, 130},
		`Ctrl-\`:   {func(p *terminaltest.Person, _ *running) { p.Types("\x1c") }, 131},
		"Ctrl-D":   {func(p *terminaltest.Person, _ *running) { p.Types("\x04") }, exitTemporary},
		"SIGTERM":  {func(_ *terminaltest.Person, r *running) { _ = r.Process.Signal(syscall.SIGTERM) }, 143},
		"SIGHUP":   {func(_ *terminaltest.Person, r *running) { _ = r.Process.Signal(syscall.SIGHUP) }, 129},
		"in a row": {func(p *terminaltest.Person, _ *running) { p.Types("\x03\x03\x03") }, 130},
	}
	h := newFixture(t)
	h.daemon("--store", "memory")
	for name, tt := range leave {
		t.Run(name, func(t *testing.T) {
			p := terminaltest.New(t)
			r := h.sessionOn(p, kycAgentd("login", "-u", "ana"))
			p.Sees("at staging? ")
			if p.Echoes() {
				t.Error("the prompt echoes")
			}
			tt.leaves(p, r)
			exit := h.ended(r)
			if !p.Echoes() {
				t.Error("the terminal is left without echo")
			}
			if exit != tt.exit {
				t.Errorf("exit %d, want %d", exit, tt.exit)
			}
		})
	}
}

// On a terminal the log is for a person: in colour, unless they do not want any.
func TestServeLogsInColour(t *testing.T) {
	for _, want := range []bool{true, false} {
		h := newFixture(t)
		if !want {
			h.env = append(h.env, "NO_COLOR=1")
		}
		p := terminaltest.New(t)
		r := h.sessionOn(p, kycAgentd("serve", "--store", "memory"))
		p.Sees("ready")
		p.Sees("\n")
		if got := strings.Contains(p.Seen(), "\x1b["); got != want {
			t.Errorf("coloured %t, want %t: %q", got, want, p.Seen())
		}
		p.Types("\x03")
		p.Sees("stopped")
		if exit := h.ended(r); exit != exitOK {
			t.Errorf("exit %d on Ctrl-C", exit)
		}
	}
}

// idleDaemon is one that holds a sign-in and no ID token: the next request costs a refresh.
func (h *fixture) idleDaemon() *running {
	h.t.Helper()
	if got := h.run("", kycAgentd("keygen")); got.exit != 0 {
		h.t.Fatalf("%+v", got)
	}
	d := h.daemon("--store", "file")
	h.login()
	_ = d.Process.Signal(syscall.SIGTERM)
	h.ended(d)
	return h.daemon("--store", "file")
}

// askWhile asks for a token while Cognito does fault to the refresh, and returns
// when Cognito has been called.
func (h *fixture) askWhile(fault cognitotest.Fault) (answer func() outcome) {
	h.t.Helper()
	h.cognito.FailNext(cognitotest.Refresh, 1, fault)
	token := testpeer.Build(h.t, "kyc-token")
	asked := make(chan outcome, 1)
	go func() { asked <- h.run("", exec.Command(token)) }()
	if err := h.cognito.WaitCalls(h.t.Context(), cognitotest.Refresh, 1); err != nil {
		h.t.Fatal(err)
	}
	return func() outcome { return <-asked }
}

// A refresh that Cognito has begun is finished before the daemon ends.
func TestStopFinishesTheOpenRefresh(t *testing.T) {
	h := newFixture(t, cognitotest.Rotation(0))
	d := h.idleDaemon()
	answer := h.askWhile(cognitotest.Hang().After())
	_ = d.Process.Signal(syscall.SIGTERM)
	waitGone(t, h.socket())
	h.cognito.Release()
	if exit := h.ended(d); exit != exitOK {
		t.Errorf("exit %d", exit)
	}
	if got := answer(); got.exit != exitOK || !strings.HasPrefix(got.out, "eyJ") {
		t.Errorf("the open request got %d, %q", got.exit, got.errOut)
	}
	// Rotation has no grace here: had the new refresh token been lost, this would be the end.
	h.daemon("--store", "file")
	if got := h.run("", exec.Command(testpeer.Build(t, "kyc-token"))); got.exit != exitOK {
		t.Errorf("after the restart: %+v", got)
	}
}

// waitGone waits until no process accepts connections on a socket.
func waitGone(t *testing.T, path string) {
	t.Helper()
	for poll, end := time.NewTicker(time.Millisecond), time.After(time.Minute); ; {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return
		}
		conn.Close()
		select {
		case <-poll.C:
		case <-end:
			t.Fatalf("%s is still answered", path)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	h := newFixture(t)
	d := h.idleDaemon()
	answer := h.askWhile(cognitotest.Hang())
	_ = d.Process.Signal(syscall.SIGTERM)
	waitGone(t, h.socket())
	began := time.Now()
	_ = d.Process.Signal(syscall.SIGTERM)
	h.ended(d)
	if status := d.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", d.ProcessState)
	}
	if took := time.Since(began); took > 20*time.Second { // after one signal it would wait 65 s for the refresh
		t.Errorf("took %s", took)
	}
	if got := answer(); got.exit == exitOK || got.out != "" {
		t.Errorf("the open request got %+v", got)
	}
}

// The service manager is told of the start, of being alive, and of the end.
func TestServeNotifies(t *testing.T) {
	h := newFixture(t)
	path, next := testsocket.ServiceManager(t)
	cmd := kycAgentd("serve", "--store", "memory")
	cmd.Env = append(h.env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=100000")
	cmd.Stderr = &logBuffer{t}
	r, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for seen["WATCHDOG=1"] < 3 {
		seen[next()]++
	}
	_ = r.Process.Signal(syscall.SIGTERM)
	for last := ""; !strings.HasPrefix(last, "STOPPING=1\n"); last = next() {
		seen[last]++
	}
	if seen["READY=1\nSTATUS=sign-ins are kept in memory, only until the daemon stops"] != 1 {
		t.Errorf("%v", seen)
	}
	if exit := h.ended(r); exit != exitOK {
		t.Errorf("exit %d", exit)
	}
}

// activated is a command that runs the daemon as a service manager does that was asked
// for it, on the fixture's socket.
func (h *fixture) activated(args string) *exec.Cmd {
	h.t.Helper()
	if err := os.Mkdir(filepath.Dir(h.socket()), 0o700); err != nil {
		h.t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.socket(), Net: "unix"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { ln.Close() })
	f, err := ln.File()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { f.Close() })
	// LISTEN_PID has to be the daemon's own, and only a shell knows it before it is one.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve `+args, filepath.Join(linkAsKycAgentd(h.t), "kyc-agentd"))
	cmd.Env, cmd.Stderr = append([]string{"LISTEN_FDS=1", "LISTEN_FDNAMES=agent"}, h.env...), &logBuffer{h.t}
	cmd.ExtraFiles = []*os.File{f}
	return cmd
}

// A daemon that serves on an inherited socket leaves it in place.
func TestServeOnAnInheritedSocket(t *testing.T) {
	h := newFixture(t)
	r, err := launch(h.activated("--store memory"), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.run("", kycAgentd("status")); got.exit != exitOK || !strings.Contains(got.out, fmt.Sprintf("process %d,", r.Process.Pid)) {
		t.Errorf("%+v", got)
	}
	_ = r.Process.Signal(syscall.SIGTERM)
	if exit := h.ended(r); exit != exitOK {
		t.Errorf("exit %d", exit)
	}
	if _, err := os.Stat(h.socket()); err != nil {
		t.Error("the service manager's socket is gone")
	}
}

// Who waits for a daemon that cannot start is told why, by every verb, and then it ends.
func TestServeRefusesOnAnInheritedSocket(t *testing.T) {
	testpeer.Slow(t)
	h, token := newFixture(t), testpeer.Build(t, "kyc-token")
	path, next := testsocket.ServiceManager(t)
	cmd := h.activated("--config /no/such")
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path)
	r, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	const why = "cannot read /no/such: no such file or directory"
	if got := next(); !strings.HasPrefix(got, "STATUS=cannot start: ") || !strings.Contains(got, why) {
		t.Errorf("the service manager is told %q", got)
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command(token),
		kycAgentd("status"),
		kycAgentd("logout"),
		kycAgentd("login", "-u", "ana", "--password-stdin"),
	} {
		if got := h.run("correct horse\n", cmd); got.exit != exitConfiguration || !strings.Contains(got.errOut, why) {
			t.Errorf("%s: %+v", cmd, got)
		}
	}
	if exit := h.ended(r); exit != exitConfiguration {
		t.Errorf("exit %d", exit)
	}
}

// The reader of the log may end before the daemon does: journald, a pager.
func TestNobodyReadsTheLog(t *testing.T) {
	h := newFixture(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := kycAgentd("serve", "--store", "memory", "--log-level", "debug")
	cmd.Env, cmd.Stderr = append([]string{}, h.env...), w
	d := h.launched(cmd)
	_, _ = r.Close(), w.Close()
	h.login()
	h.token("staging")
	h.stop(d)
}

// A daemon that is out of file descriptors serves whom it has accepted, gives up no
// sign-in that it cannot read for now, and goes on as soon as it has some again.
func TestOutOfFileDescriptors(t *testing.T) {
	h := newFixture(t, cognitotest.Rotation(0))
	h.alsoProd()
	h.run("", kycAgentd("keygen"))
	first := h.daemon("--store", "file")
	for _, env := range []string{"staging", "prod"} {
		if got := h.run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin", env)); got.exit != exitOK {
			t.Fatalf("%+v", got)
		}
	}
	h.stop(first)
	log, seen := awaited(t, `"pause":"160ms"`) // it grows while nothing that was taken for a moment is given back
	cmd := exec.Command("sh", "-c", `ulimit -n 32; exec "$0" serve --store file --log-level debug`, filepath.Join(linkAsKycAgentd(t), "kyc-agentd"))
	cmd.Env, cmd.Stderr = append([]string{}, h.env...), log
	d := h.launched(cmd)
	h.token("staging") // and nothing of prod is in memory

	accepted, err := net.Dial("unix", h.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	answers := bufio.NewReader(accepted)
	ask := func(env string) (status int) {
		fmt.Fprintf(accepted, "GET /v1/token?env=%s HTTP/1.1\r\nHost: kyc-agent\r\n\r\n", env)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if status := ask("staging"); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	var hoard []net.Conn
	for range 64 { // the backlog takes those that the daemon cannot
		conn, err := net.Dial("unix", h.socket())
		if err != nil {
			t.Fatal(err)
		}
		hoard = append(hoard, conn)
	}
	<-seen
	for env, want := range map[string]int{"staging": http.StatusOK, "prod": http.StatusServiceUnavailable} {
		if status := ask(env); status != want {
			t.Errorf("%s: status %d, want %d", env, status, want)
		}
	}
	for _, conn := range hoard {
		conn.Close()
	}
	h.token("staging")
	h.stop(d)
	h.daemon("--store", "file")
	h.token("prod")
	if n := h.cognito.SignIns(); n != 2 {
		t.Errorf("%d sign-ins", n)
	}
}

// awaited is a daemon's log, and is closed when text was in it.
func awaited(t *testing.T, text string) (io.Writer, <-chan struct{}) {
	seen := make(chan struct{})
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if strings.Contains(lines.Text(), text) {
				close(seen)
				break
			}
		}
		_, _ = io.Copy(io.Discard, r)
	}()
	return io.MultiWriter(&logBuffer{t}, w), seen
}

// linkAsKycAgentd returns a folder in which the test binary is called kyc-agentd.
func linkAsKycAgentd(t *testing.T) string { return linkAs(t, "kyc-agentd") }

// linkAs returns a folder in which the test binary is called by one of the names of programs.
func linkAs(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	return dir
}
