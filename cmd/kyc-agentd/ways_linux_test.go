package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// What a command of `run --api-only` can do to get a token, with and without --sandbox, is
// what the table in docs/security.md says. testdata/ways.py is that command.
func TestWaysToAToken(t *testing.T) {
	testpeer.Slow(t)
	testpeer.Program(t, "bwrap", "bubblewrap")
	without, inSandbox, all := documentedWays(t)
	w := newWorld(t)
	for _, tt := range []struct {
		args []string
		want []string
	}{{[]string{"--sandbox"}, inSandbox}, {nil, without}} {
		got, tried := w.try(tt.args...)
		want := slices.DeleteFunc(slices.Clone(tt.want), w.missing)
		if !slices.Equal(got, want) {
			t.Errorf("%q: these ways lead to a token: %q; the table says %q", tt.args, got, want)
		}
		if tried != fmt.Sprintf("tried %d", len(all)) {
			t.Errorf("%s ways, and the table has %d", tried, len(all))
		}
	}
}

// documentedWays returns the names of the rows with a yes, in each column, and of all.
func documentedWays(t *testing.T) (without, inSandbox, all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testpeer.ModuleRoot(), "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| way |")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			if len(all) > 0 {
				break
			}
			continue
		}
		name := strings.Trim(cells[1], " `")
		if strings.Trim(name, "-") == "" {
			continue
		}
		all = append(all, name)
		if strings.TrimSpace(cells[3]) == "yes" {
			without = append(without, name)
		}
		if strings.TrimSpace(cells[4]) == "yes" {
			inSandbox = append(inSandbox, name)
		}
	}
	slices.Sort(without)
	return without, inSandbox, all
}

// A world is a user's session with secrets in many places, all of them at this user's reach.
type world struct {
	*fixture
	work   string
	run    string // the program
	facts  map[string]any
	absent []string // ways that this machine does not have
}

// ordinary is the user of a world, when root runs the tests: nobody. A bus answers only users
// that the machine knows.
const ordinary = 65534

func newWorld(t *testing.T) *world {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "the API has a token: %t\n", strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ"))
	}))
	t.Cleanup(api.Close)
	srv := cognitotest.New()
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: "ana", Password: "correct horse"})
	dir := testsocket.ShortDir(t)
	home, run, work := filepath.Join(dir, "home"), filepath.Join(dir, "run"), filepath.Join(dir, "home", "project")
	for _, d := range []string{work, filepath.Join(run, "systemd"), filepath.Join(home, ".config/kyc-agent"), filepath.Join(home, ".config/systemd/user"), filepath.Join(home, ".gnupg"), filepath.Join(home, "tokens")} {
		must(t, os.MkdirAll(d, 0o700))
	}
	w := &world{work: work, fixture: &fixture{t: t, dir: dir, cognito: srv, env: []string{
		"GOCOVERDIR=" + dir, testpeer.NoRaceSleep, "HOME=" + home, "XDG_RUNTIME_DIR=" + run, "SHELL=/bin/sh", "PATH=" + os.Getenv("PATH"), "TERM=xterm",
		"KYC_STAGING_ENDPOINT=" + srv.URL, "KYC_STAGING_USER_POOL_ID=" + srv.PoolID, "KYC_STAGING_CLIENT_ID=" + srv.ClientID, "KYC_STAGING_API_URL=" + api.URL,
	}}}
	write := func(path, text string) string {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write(filepath.Join(home, ".config/kyc-agent/config.toml"), "forward_environments = [\"staging\"]\nstore = \"file\"\n[[sinks]]\nenvironment = \"staging\"\npath = \"~/tokens/staging.token\"\n")
	write(filepath.Join(home, ".bashrc"), "")
	script, err := os.ReadFile("testdata/ways.py")
	must(t, err)
	write(filepath.Join(work, "ways.py"), string(script))
	w.run = copyProgram(t, "", filepath.Join(dir, "kyc-agentd"))
	kycToken := copyProgram(t, testpeer.Build(t, "kyc-token"), filepath.Join(work, "kyc-token"))
	agentSocket := filepath.Join(run, "kyc-agentd", "agent.sock")
	w.facts = map[string]any{
		"secrets":   []string{"eyJ", "correct horse", "AGE-SECRET-KEY"},
		"agent":     agentSocket,
		"extra":     []string{filepath.Join(run, "kyc-agentd/agent.extra.sock"), filepath.Join(run, "kyc-agentd/sockets/extra/agent.sock")},
		"systemd":   filepath.Join(run, "systemd/private"),
		"ssh_agent": filepath.Join(dir, "ssh-agent"),
		"tmux":      filepath.Join(dir, "tmux"),
		"abstract":  "kyc-way-" + filepath.Base(dir), "sink": filepath.Join(home, "tokens/staging.token"), "loot": filepath.Join(work, "loot"),
		"home_sockets": []string{filepath.Join(home, ".gnupg/S.gpg-agent"), filepath.Join(home, "app.sock")},
		"folders":      []string{home, run, "/tmp/" + filepath.Base(dir)},
		"start_up":     []string{filepath.Join(home, ".bashrc"), filepath.Join(home, ".profile"), filepath.Join(home, ".config/autostart.desktop")},
		"unit":         filepath.Join(home, ".config/systemd/user/thief.service"),
		"shm":          "/dev/shm/" + filepath.Base(dir), "kyc_token": kycToken,
	}
	write(w.fact("shm"), "eyJfrom-shared-memory")
	t.Cleanup(func() { os.Remove(w.fact("shm")) })
	w.own(dir)
	w.own(w.fact("shm"))
	w.populate()
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copyProgram copies a program, or this one: other users cannot read where go test builds it.
func copyProgram(t *testing.T, from, to string) string {
	t.Helper()
	if from == "" {
		from = "/proc/self/exe"
	}
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, testpeer.WriteProgram(to, data, 0o755))
	return to
}

func (w *world) fact(name string) string { return w.facts[name].(string) }

// own gives the files below dir to the world's user.
func (w *world) own(dir string) {
	w.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	must(w.t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, ordinary, ordinary)
	}))
}

// command is one of the world's user.
func (w *world) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = slices.Clone(w.env), w.work
	if filepath.Base(name) == "kyc-agentd" {
		cmd.Args[0] = "kyc-agentd"
	}
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
	}
	return cmd
}

// populate starts what has secrets, or can get them.
func (w *world) populate() {
	t := w.t
	keygen := w.command(w.run, "keygen")
	if out, err := keygen.CombinedOutput(); err != nil {
		t.Fatalf("keygen: %v\n%s", err, out)
	}
	serve := w.command(w.run, "serve")
	serve.Stderr = &logBuffer{t: t}
	daemon := w.launched(serve)
	w.facts["daemon"] = daemon.Process.Pid
	login := w.command(w.run, "login", "-u", "ana", "--password-stdin")
	login.Stdin = strings.NewReader("correct horse\n")
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
	if !happens(func() bool { _, err := os.Stat(w.fact("sink")); return err == nil }) {
		t.Fatal("no token file")
	}
	for _, path := range append([]string{w.fact("systemd"), w.fact("ssh_agent"), "@" + w.fact("abstract")}, w.facts["home_sockets"].([]string)...) {
		w.answerOn(path)
	}
	port := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "eyJfrom-a-port") }))
	t.Cleanup(port.Close)
	w.facts["port"] = port.URL
	sleep := w.command("sleep", "600")
	sleep.Env = append(sleep.Env, "KYC_PROD_TOKEN=eyJof-another-process")
	token, err := os.Open(w.fact("sink"))
	must(t, err)
	defer token.Close()
	sleep.ExtraFiles = []*os.File{token}
	w.facts["victim"] = w.background(sleep).Process.Pid
	w.startBus()
	w.startTmux()
	if scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && strings.TrimSpace(string(scope)) != "0" {
		w.absent = append(w.absent, "debugger")
	}
}

func (w *world) missing(way string) bool { return slices.Contains(w.absent, way) }

// background starts a process that is killed at the end.
func (w *world) background(cmd *exec.Cmd) *exec.Cmd {
	w.t.Helper()
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// answerOn gives a secret to everybody who connects to the socket.
func (w *world) answerOn(path string) {
	w.t.Helper()
	ln, err := net.Listen("unix", path)
	must(w.t, err)
	w.t.Cleanup(func() { ln.Close() })
	if path[0] != '@' {
		w.own(path)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1024))
			_, _ = io.WriteString(c, "eyJfrom-a-socket")
			c.Close()
		}
	}()
}

// startBus starts a session bus with a service that is started out here.
func (w *world) startBus() {
	testpeer.Program(w.t, "dbus-send", "dbus-bin")
	daemon := testpeer.Program(w.t, "dbus-daemon", "dbus-daemon")
	path, abstract := filepath.Join(w.dir, "run", "bus"), w.fact("abstract")+"-bus"
	services := filepath.Join(w.dir, "services")
	must(w.t, os.MkdirAll(services, 0o755))
	service := fmt.Sprintf("[D-BUS Service]\nName=kyc.Thief\nExec=/bin/cp %s %s\n", w.fact("sink"), w.fact("loot"))
	must(w.t, os.WriteFile(filepath.Join(services, "kyc.Thief.service"), []byte(service), 0o644))
	config := filepath.Join(w.dir, "bus.conf")
	must(w.t, os.WriteFile(config, fmt.Appendf(nil, `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=%s</listen><listen>unix:abstract=%s</listen><servicedir>%s</servicedir>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`, path, abstract, services), 0o644))
	w.own(services)
	w.background(w.command(daemon, "--nofork", "--config-file="+config))
	w.facts["bus"] = []string{"unix:path=" + path, "unix:abstract=" + abstract}
	if !happens(func() bool { _, err := os.Stat(path); return err == nil }) {
		w.t.Fatal("no session bus")
	}
}

func (w *world) startTmux() {
	tmux := testpeer.Program(w.t, "tmux", "tmux")
	w.background(w.command(tmux, "-S", w.fact("tmux"), "-f", "/dev/null", "-D"))
	if !happens(func() bool { _, err := os.Stat(w.fact("tmux")); return err == nil }) {
		w.t.Fatal("no tmux server")
	}
}

// try runs ways.py and returns the ways that lead to a token. The API call has to work.
func (w *world) try(args ...string) (ways []string, tried string) {
	t := w.t
	t.Helper()
	text, err := json.Marshal(w.facts)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(w.work, "ways.json"), text, 0o644))
	cmd := w.command(w.run, append(append([]string{"run", "--api-only"}, args...), "--", "/usr/bin/python3", "ways.py")...)
	cmd.Env = append(cmd.Env, "KYC_STAGING_TOKEN=eyJfrom-the-environment", "KYC_TOKEN=eyJof-kyc-token-exec", "KYC_AGENT_SOCK="+w.fact("agent"))
	token, err := os.Open(w.fact("sink")) // which the caller has left open
	must(t, err)
	defer token.Close()
	cmd.ExtraFiles = slices.Repeat([]*os.File{token}, 8) // more than `run` replaces by its own
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := runWithKey(cmd); err != nil {
		w.absent = append(w.absent, "kernel-keyring")
		t.Logf("no kernel keyring: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if cmd.ProcessState.ExitCode() != 0 || errOut.Len() > 0 || lines[len(lines)-1] != "the API has a token: true" || len(lines) < 2 {
		t.Fatalf("%q: exit %d\n%s\n%s", args, cmd.ProcessState.ExitCode(), out.String(), errOut.String())
	}
	for _, line := range lines[:len(lines)-2] {
		ways = append(ways, strings.TrimPrefix(line, "way "))
	}
	slices.Sort(ways)
	_ = os.Remove(w.fact("loot"))
	return ways, lines[len(lines)-2]
}

// runWithKey runs cmd with a token in its session keyring. The keyring is that of a thread,
// which is not used again.
func runWithKey(cmd *exec.Cmd) (noKeyring error) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		_, err := unix.KeyctlJoinSessionKeyring("kyc-test")
		if err == nil {
			_, err = unix.AddKey("user", "kyc-way", []byte("eyJin-a-keyring"), unix.KEY_SPEC_SESSION_KEYRING)
		}
		_ = cmd.Run()
		done <- err
	}()
	return <-done
}
