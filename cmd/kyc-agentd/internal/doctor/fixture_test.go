package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// TestMain removes the programs that the tests built.
func TestMain(m *testing.M) {
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

// A fixture is a home folder in which nothing is wrong: a running kyc-agentd with a file
// store and a sign-in, units that a fake systemctl shows, and probes of this process.
type fixture struct {
	t       *testing.T
	dir     string
	env     []string // of the user's shell
	cognito *cognitotest.Server
	version string // of the daemon
	daemon  *exec.Cmd
	exited  chan struct{} // closed when the daemon has ended

	units   string // what systemctl shows
	shared  string // the manager's environment
	offline bool
	look    func(*probe) // changes the probe before it runs; may be nil
}

func newFixture(t *testing.T, options ...cognitotest.Option) *fixture {
	t.Helper()
	srv := cognitotest.New(options...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: "ana", Password: "correct horse"})
	dir, err := os.MkdirTemp("", "kyc") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &fixture{t: t, dir: dir, cognito: srv, env: []string{
		"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm",
	}}
	for _, name := range []string{"STAGING", "PROD"} {
		w.set("KYC_"+name+"_ENDPOINT="+srv.URL, "KYC_"+name+"_USER_POOL_ID="+srv.PoolID, "KYC_"+name+"_CLIENT_ID="+srv.ClientID)
	}
	w.write(".config/kyc-agent/config.toml", `store = "file"`, 0o600)
	w.write("bin/kyc-agentd", "", 0o755) // older than the daemon, whose program it is said to be
	w.verb("", "keygen")
	w.start()
	w.verb("correct horse", "login", "-u", "ana", "--password-stdin")
	st, err := w.client().Status(t.Context())
	w.must(err)
	w.version = st.Version
	w.install("loginctl", "echo Linger=yes")
	w.installSystemctl()
	w.units = w.wellUnits()
	w.list(w.daemon.Process.Pid, os.Getuid(), w.path("bin/kyc-agentd"), "serve")
	w.list(4712, os.Getuid()+1, "/usr/bin/kyc-agentd", "serve") // another user's
	return w
}

const testRedirect = "http://localhost:8765/callback"

// browser lets staging sign in with a browser at domain.
func (w *fixture) browser(domain string) {
	w.set("KYC_STAGING_DOMAIN="+domain, "KYC_STAGING_REDIRECT_URIS="+testRedirect)
}

func (w *fixture) command(args ...string) *exec.Cmd {
	cmd := exec.Command(testpeer.Build(w.t, "kyc-agentd"), args...)
	cmd.Env = slices.Clone(w.env)
	return cmd
}

// verb runs a verb that must succeed.
func (w *fixture) verb(stdin string, args ...string) {
	w.t.Helper()
	cmd := w.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v: %s", args, err, out)
	}
}

// start starts the daemon and waits until it answers.
func (w *fixture) start() {
	w.t.Helper()
	notify := w.path("notify")
	_ = os.Remove(notify)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	w.must(err)
	defer conn.Close()
	var log bytes.Buffer
	w.daemon, w.exited = w.command("serve"), make(chan struct{})
	w.daemon.Env, w.daemon.Stderr = append(w.daemon.Env, "NOTIFY_SOCKET="+notify), &log
	w.must(w.daemon.Start())
	daemon, exited := w.daemon, w.exited
	go func() {
		_ = daemon.Wait()
		close(exited)
		_ = conn.SetReadDeadline(time.Now())
	}()
	w.t.Cleanup(func() {
		_ = daemon.Process.Kill()
		<-exited
	})
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		if err != nil {
			_ = daemon.Process.Kill()
			<-exited
			w.t.Fatalf("the daemon does not get ready: %v\n%s", err, log.Bytes())
		}
		if bytes.HasPrefix(buf[:n], []byte("READY=1")) {
			return
		}
	}
}

func (w *fixture) socket() string { return filepath.Join(w.dir, "kyc-agentd", "agent.sock") }

func (w *fixture) client() *ipc.Client { return &ipc.Client{Socket: w.socket()} }

func (w *fixture) path(name string) string { return filepath.Join(w.dir, name) }

func (w *fixture) write(name, text string, mode os.FileMode) {
	w.t.Helper()
	path := w.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := testpeer.WriteProgram(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		w.t.Fatal(err)
	}
}

// must ends the test with err.
func (w *fixture) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// install makes a program that the doctor finds on PATH.
func (w *fixture) install(name, body string) {
	w.write("bin/"+name, "#!/bin/sh\n"+body+"\n", 0o755)
}

func (w *fixture) installSystemctl() {
	w.install("systemctl", `case "$*" in *show-environment*) exec /bin/cat "$HOME/shared";; esac; exec /bin/cat "$HOME/units"`)
}

// wellUnits are units as `systemctl show` tells of them.
func (w *fixture) wellUnits() string {
	return "Id=kyc-agentd.socket\nLoadState=loaded\nActiveState=active\nResult=success\nUnitFileState=enabled\nNeedDaemonReload=no\nListen=/elsewhere (Stream)\n\n" +
		fmt.Sprintf("Id=kyc-agentd.service\nLoadState=loaded\nActiveState=active\nResult=success\nUnitFileState=static\nNeedDaemonReload=no\n"+
			"ExecStart={ path=%s ; argv[]=%s serve ; ignore_errors=no }\nEnvironment=A=b\nDropInPaths=\nNRestarts=0\nMainPID=%d\n", w.path("bin/kyc-agentd"), w.path("bin/kyc-agentd"), w.daemon.Process.Pid)
}

// unit changes a property of the socket unit, or of the service unit.
func (w *fixture) unit(id, property, value string) {
	socket, service, _ := strings.Cut(w.units, "\n\n")
	which := &socket
	if id == serviceUnit {
		which = &service
	}
	lines := strings.Split(*which, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, property+"=") {
			lines[i] = property + "=" + value
		}
	}
	*which = strings.Join(lines, "\n")
	w.units = socket + "\n\n" + service
}

// credential has the service load a credential from the file called name.
func (w *fixture) credential(name string) {
	w.write("drop-in.conf", "[Service]\nLoadCredential=x:/nonexistent\nLoadCredential=\nLoadCredential=kyc-agentd.key:%h/"+name+"\n", 0o600)
	w.unit(serviceUnit, "DropInPaths", w.path("drop-in.conf"))
}

// list makes the doctor's kernel list a process.
func (w *fixture) list(pid, uid int, args ...string) {
	dir := fmt.Sprintf("proc/%d/", pid)
	w.write(dir+"cmdline", strings.Join(args, "\x00")+"\x00", 0o600)
	w.write(dir+"status", fmt.Sprintf("Name:\tkyc-agentd\nUid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid), 0o600)
}

// end stops the daemon as a crash would, which leaves its socket.
func (w *fixture) end() {
	_ = w.daemon.Process.Kill()
	<-w.exited
}

// pretend has an agent answer in the place of the daemon that is like it but for change.
func (w *fixture) pretend(change func(*agent.Status)) {
	w.t.Helper()
	st, err := w.client().Status(w.t.Context())
	w.must(err)
	w.end()
	change(&st)
	w.answer(w.socket(), st)
}

// answer serves st at path.
func (w *fixture) answer(path string, st agent.Status) {
	w.t.Helper()
	ln, err := socket.Listen(path)
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&ipc.Server{Service: statusOnly{st: st}}).Serve(ctx, ln)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// statusOnly is a Service that has nothing but a status.
type statusOnly struct {
	agent.Service
	st agent.Status
}

func (t statusOnly) Status(context.Context) (agent.Status, error) { return t.st, nil }

// set has the doctor's shell export variables.
func (w *fixture) set(vars ...string) { w.env = append(w.env, vars...) }

// options are those of the daemon's own program, for the user's shell.
func (w *fixture) options(environment string) Options {
	vars := append(slices.Clone(config.Environ(w.env)), "PATH="+w.path("bin"))
	return Options{
		Environment: environment, Offline: w.offline, Vars: vars, Socket: socket.Path(vars.Get), Version: w.version,
		KeyringCommand: []string{testpeer.Build(w.t, "kyc-agentd"), "keyring-child"},
		NoAgent:        noAgent,
	}
}

// noAgent reports whether err is a failed connect, as the program's own does.
func noAgent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && agent.CodeOf(err) == agent.CodeUnavailable
}

// run probes, in this process. worst is 0, 1 for a warning, or 2 for a problem.
func (w *fixture) run(environment string) (found []Finding, worst int, out string) {
	w.t.Helper()
	w.write("units", w.units, 0o600)
	w.write("shared", w.shared, 0o600)
	p := newProbe(w.options(environment))
	p.proc, p.proxy = w.path("proc"), func(*http.Request) (*url.URL, error) { return nil, nil }
	if w.look != nil {
		w.look(p)
	}
	var b bytes.Buffer
	w.must(p.report(w.t.Context()).WriteJSON(&b))
	var r Report
	w.must(json.Unmarshal(b.Bytes(), &r))
	return r.Findings, map[Severity]int{SeverityWarning: 1, SeverityProblem: 2}[r.Worst()], b.String()
}

// answerQueries is a DNS server on conn, until that is closed. reply may be nil, and so
// may what it returns: then there is no answer.
func answerQueries(conn net.PacketConn, reply func(query []byte) []byte) {
	for buf := make([]byte, 1500); ; {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply == nil {
			continue
		}
		if answer := reply(buf[:n]); answer != nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

// resolverAt asks a DNS server on this machine that answers by reply, or never.
func resolverAt(t *testing.T, reply func(query []byte) []byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go answerQueries(conn, reply)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// noSuchHost is the answer NXDOMAIN (RFC 1035, 4.1.1: QR, RD, RA, RCODE 3).
func noSuchHost(query []byte) []byte {
	query[2], query[3] = 0x81, 0x83
	return query
}
