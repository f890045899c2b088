package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/store"
)

// A doctorFixture is a house that is well: a daemon with a file store and a sign-in, units that
// a systemctl of its own tells of, and a doctor who looks at it from this process.
type doctorFixture struct {
	*fixture
	daemon *running
	units  string       // what systemctl shows
	shared string       // the manager's environment
	flags  doctorFlags  // of the doctor
	look   func(*probe) // the last word on where the doctor looks; may be nil
}

func newDoctorFixture(t *testing.T, options ...cognitotest.Option) *doctorFixture {
	t.Helper()
	w := &doctorFixture{fixture: newFixture(t, options...)}
	w.alsoProd()
	w.write(".config/kyc-agent/config.toml", `store = "file"`, 0o600)
	w.write("bin/kyc-agentd", "", 0o755) // before the daemon starts, which is of it
	w.verb("", "keygen")
	w.daemon = w.fixture.daemon()
	w.verb("correct horse", "login", "-u", "ana", "--password-stdin")
	w.install("loginctl", "echo Linger=yes")
	w.installSystemctl()
	w.units = w.wellUnits()
	w.list(w.daemon.Process.Pid, os.Getuid(), w.path("bin/kyc-agentd"), "serve")
	w.list(4712, os.Getuid()+1, "/usr/bin/kyc-agentd", "serve") // another user's is none of ours
	return w
}

// verb runs a verb in this process, which with the race detector saves a second.
func (w *doctorFixture) verb(stdin string, args ...string) {
	w.t.Helper()
	if got := (session{stdin: stdin, vars: w.env}).run(w.t, args...); got.exit != exitOK {
		w.t.Fatalf("%+v", got)
	}
}

func (w *doctorFixture) path(name string) string { return filepath.Join(w.dir, name) }

func (w *doctorFixture) write(name, text string, mode os.FileMode) {
	w.t.Helper()
	path := w.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		w.t.Fatal(err)
	}
}

// must ends the test with err.
func (w *doctorFixture) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// install makes a program that the doctor finds on PATH.
func (w *doctorFixture) install(name, body string) {
	w.write("bin/"+name, "#!/bin/sh\n"+body+"\n", 0o755)
}

func (w *doctorFixture) installSystemctl() {
	w.install("systemctl", `case "$*" in *show-environment*) exec /bin/cat "$HOME/shared";; esac; exec /bin/cat "$HOME/units"`)
}

// wellUnits are units as `systemctl show` tells of them.
func (w *doctorFixture) wellUnits() string {
	return "Id=kyc-agentd.socket\nLoadState=loaded\nActiveState=active\nResult=success\nUnitFileState=enabled\nNeedDaemonReload=no\n\n" +
		fmt.Sprintf("Id=kyc-agentd.service\nLoadState=loaded\nActiveState=active\nResult=success\nUnitFileState=static\nNeedDaemonReload=no\n"+
			"ExecStart={ path=%s ; argv[]=%s serve ; ignore_errors=no }\nEnvironment=A=b\nMainPID=%d\n", w.path("bin/kyc-agentd"), w.path("bin/kyc-agentd"), w.daemon.Process.Pid)
}

// unit changes a property of the socket unit, or of the service unit.
func (w *doctorFixture) unit(id, property, value string) {
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

// list makes the doctor's kernel list a process.
func (w *doctorFixture) list(pid, uid int, args ...string) {
	dir := fmt.Sprintf("proc/%d/", pid)
	w.write(dir+"cmdline", strings.Join(args, "\x00")+"\x00", 0o600)
	w.write(dir+"status", fmt.Sprintf("Name:\tkyc-agentd\nUid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid), 0o600)
}

// end stops the daemon as a crash would, which leaves its socket.
func (w *doctorFixture) end() {
	_ = w.daemon.Process.Kill()
	<-w.daemon.exited
}

// pretend has an agent answer in the place of the daemon that is like it but for change.
func (w *doctorFixture) pretend(change func(*agent.Status)) {
	w.t.Helper()
	st, err := (&ipc.Client{Socket: w.socket()}).Status(w.t.Context())
	w.must(err)
	w.end()
	change(&st)
	w.answer(w.socket(), st)
}

// answer serves st at path.
func (w *doctorFixture) answer(path string, st agent.Status) {
	w.t.Helper()
	ln, err := ipc.Listen(path)
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
func (w *doctorFixture) set(vars ...string) { w.env = append(w.env, vars...) }

// run has the doctor look, in this process.
func (w *doctorFixture) run(environment string) (found []finding, exit int, out string) {
	w.t.Helper()
	w.write("units", w.units, 0o600)
	w.write("shared", w.shared, 0o600)
	var b bytes.Buffer
	c := &cli{stdio: stdio{out: &b, err: &b}, vars: append(slices.Clone(config.Environ(w.env)), "PATH="+w.path("bin"))}
	p := newProbe(c, w.flags, environment)
	p.proc, p.proxy = w.path("proc"), func(*http.Request) (*url.URL, error) { return nil, nil }
	if w.look != nil {
		w.look(p)
	}
	p.flags.json = true
	if err := c.examine(w.t.Context(), p); err != nil {
		exit = int(err.(exitStatus))
	}
	var r report
	w.must(json.Unmarshal(b.Bytes(), &r))
	return r.Findings, exit, b.String()
}

// status changes the only environment that has a sign-in.
func staging(change func(*agent.EnvironmentStatus)) func(*agent.Status) {
	return func(st *agent.Status) {
		for i := range st.Environments {
			if st.Environments[i].Name == "staging" {
				change(&st.Environments[i])
			}
		}
	}
}

// A scenario is one that is broken, and what has to be found.
type scenario struct {
	name     string
	id       string
	severity severity
	fix      string // part of it
	arrange  func(*doctorFixture)
}

var scenarios = []scenario{
	{"a socket path that no socket can have", "socket.path", severityProblem, "shorter", func(w *doctorFixture) {
		w.set("KYC_AGENT_SOCK=/run/" + strings.Repeat("x", 120) + "/agent.sock")
	}},
	{"no agent has ever run", "socket.folder-missing", severityProblem, "enable --now kyc-agentd.socket", func(w *doctorFixture) {
		w.must(os.Mkdir(w.path("run"), 0o700))
		w.set("XDG_RUNTIME_DIR=" + w.path("run"))
	}},
	{"a socket folder open to others", "socket.folder-mode", severityProblem, "chmod 700", func(w *doctorFixture) {
		w.must(os.Chmod(filepath.Dir(w.socket()), 0o755))
	}},
	{"somebody else's socket folder", "socket.folder-owner", severityProblem, "KYC_AGENT_SOCK", func(w *doctorFixture) {
		testpeer.Root(w.t)
		w.must(os.Chown(filepath.Dir(w.socket()), 12345, -1))
	}},
	{"the socket is gone", "socket.missing", severityProblem, "enable --now kyc-agentd.socket", func(w *doctorFixture) {
		w.must(os.Remove(w.socket()))
	}},
	{"a file in the socket's place", "socket.kind", severityProblem, "move it away", func(w *doctorFixture) {
		w.must(os.Remove(w.socket()))
		w.write("kyc-agentd/agent.sock", "", 0o600)
	}},
	{"a socket open to others", "socket.mode", severityProblem, "chmod 600", func(w *doctorFixture) {
		w.must(os.Chmod(w.socket(), 0o666))
	}},
	{"somebody else's socket", "socket.owner", severityProblem, "KYC_AGENT_SOCK", func(w *doctorFixture) {
		testpeer.Root(w.t)
		w.must(os.Chown(w.socket(), 12345, -1))
	}},
	{"an agent that was killed", "socket.stale", severityProblem, "enable --now kyc-agentd.socket", (*doctorFixture).end},
	{"an agent that hangs", "socket.silent", severityProblem, "restart kyc-agentd.service", func(w *doctorFixture) {
		w.end()
		w.must(os.Remove(w.socket()))
		ln, err := net.Listen("unix", w.socket())
		w.must(err)
		w.must(os.Chmod(w.socket(), 0o600))
		w.t.Cleanup(func() { _ = ln.Close() })
		w.look = func(p *probe) { p.limit = time.Second }
	}},
	{"an agent of another version", "agent.version", severityWarning, "restart kyc-agentd.service", func(w *doctorFixture) {
		w.pretend(func(st *agent.Status) { st.Version = "v0.0.1" })
	}},
	{"a program that was uninstalled", "agent.deleted", severityWarning, "restart kyc-agentd.service", func(w *doctorFixture) {
		w.must(os.Remove(w.path("bin/kyc-agentd")))
	}},
	{"a program that was installed anew", "agent.replaced", severityWarning, "restart kyc-agentd.service", func(w *doctorFixture) {
		w.pretend(func(st *agent.Status) { st.StartedAt = st.StartedAt.Add(-time.Hour) })
	}},
	{"a second agent", "agents.second", severityWarning, "kill 4711", func(w *doctorFixture) {
		w.list(4711, os.Getuid(), "/opt/kyc-agentd", "serve", "--socket", "/tmp/x/agent.sock")
	}},
	{"KYC_AGENT_SOCK of an agent that is gone", "variables.socket", severityProblem, "unset KYC_AGENT_SOCK", func(w *doctorFixture) {
		w.set("KYC_AGENT_SOCK=" + w.path("gone.sock"))
	}},
	{"KYC_AGENT_SOCK of another agent", "variables.socket", severityWarning, "unset KYC_AGENT_SOCK", func(w *doctorFixture) {
		w.must(os.Mkdir(w.path("other"), 0o700))
		w.answer(w.path("other/a.sock"), agent.Status{Version: programVersion(), Environments: []agent.EnvironmentStatus{}})
		w.set("KYC_AGENT_SOCK=" + w.path("other/a.sock"))
	}},
	{"a relative KYC_AGENT_SOCK", "variables.socket", severityWarning, "absolute", func(w *doctorFixture) {
		w.set("KYC_AGENT_SOCK=agent.sock")
	}},
	{"KYC_ENV of an environment that is not", "variables.environment", severityProblem, "unset KYC_ENV", func(w *doctorFixture) {
		w.set("KYC_ENV=uat")
	}},
	{"a relative XDG_RUNTIME_DIR", "variables.runtime-dir", severityWarning, "export XDG_RUNTIME_DIR", func(w *doctorFixture) {
		w.set("XDG_RUNTIME_DIR=run", "KYC_AGENT_SOCK="+w.socket())
	}},
	{"an XDG_RUNTIME_DIR that is not there", "variables.runtime-dir", severityWarning, "log in again", func(w *doctorFixture) {
		w.set("XDG_RUNTIME_DIR=" + w.path("gone"))
	}},
	{"no units", "units.missing", severityWarning, "make install", func(w *doctorFixture) {
		w.end()
		w.unit(socketUnit, "LoadState", "not-found")
		w.unit(serviceUnit, "LoadState", "not-found")
	}},
	{"a service unit without its socket", "units.half", severityProblem, "install kyc-agentd again", func(w *doctorFixture) {
		w.unit(socketUnit, "LoadState", "not-found")
	}},
	{"units without their program", "units.binary", severityProblem, "install kyc-agentd again", func(w *doctorFixture) {
		w.unit(serviceUnit, "ExecStart", "{ path=/nowhere/kyc-agentd ; argv[]=/nowhere/kyc-agentd serve }")
	}},
	{"a masked unit", "units.masked", severityProblem, "unmask kyc-agentd.socket", func(w *doctorFixture) {
		w.unit(socketUnit, "LoadState", "masked")
	}},
	{"a unit with a mistake in it", "units.broken", severityProblem, "status kyc-agentd.service", func(w *doctorFixture) {
		w.unit(serviceUnit, "LoadState", "bad-setting")
	}},
	{"a service that has failed", "units.failed", severityProblem, "journalctl --user -u kyc-agentd", func(w *doctorFixture) {
		w.unit(serviceUnit, "ActiveState", "failed")
	}},
	{"a unit that systemd has not read again", "units.reload", severityWarning, "daemon-reload", func(w *doctorFixture) {
		w.unit(serviceUnit, "NeedDaemonReload", "yes")
	}},
	{"a socket unit that is not enabled", "units.disabled", severityWarning, "enable kyc-agentd.socket", func(w *doctorFixture) {
		w.unit(socketUnit, "UnitFileState", "disabled")
	}},
	{"a socket unit that was stopped", "units.inactive", severityProblem, "enable --now kyc-agentd.socket", func(w *doctorFixture) {
		w.end()
		w.unit(socketUnit, "ActiveState", "inactive")
	}},
	{"a service manager that hangs", "units.no-manager", severityNote, "kyc-agentd serve", func(w *doctorFixture) {
		w.end()
		w.install("systemctl", "exec /bin/sleep 60")
		w.look = func(p *probe) { p.limit = time.Second }
	}},
	{"no linger", "linger.off", severityNote, "enable-linger", func(w *doctorFixture) {
		w.install("loginctl", "echo Linger=no")
	}},
	{"an unknown key in config.toml", "config.invalid", severityProblem, "kyc-agentd reload", func(w *doctorFixture) {
		w.write(".config/kyc-agent/config.toml", "store = \"file\"\nrefresh_margn = \"5m\"\n", 0o600)
	}},
	{"a variable of no environment", "config.variable", severityWarning, "unset KYC_UAT_CLIENT_ID", func(w *doctorFixture) {
		w.set("KYC_UAT_CLIENT_ID=x")
	}},
	{"a change that was not loaded", "config.not-loaded", severityWarning, "kyc-agentd reload", func(w *doctorFixture) {
		w.set("KYC_STAGING_API_URL=https://elsewhere.example")
	}},
	{"a client secret open to others", "secrets.client-secret", severityProblem, "chmod 600", func(w *doctorFixture) {
		w.write("secret", "sekrit", 0o644)
		w.set("KYC_STAGING_CLIENT_SECRET_FILE=" + w.path("secret"))
	}},
	{"no password to sign in with", "secrets.password", severityProblem, "mode 0600", func(w *doctorFixture) {
		w.set("KYC_STAGING_USERNAME=ana", "KYC_STAGING_PASSWORD_FILE="+w.path("gone"))
	}},
	{"neither keyring nor key", "store.memory", severityWarning, "kyc-agentd keygen", func(w *doctorFixture) {
		w.write(".config/kyc-agent/config.toml", "", 0o600)
		w.pretend(func(st *agent.Status) { st.Store = store.Info{Kind: "memory"} })
	}},
	{"the store's key open to others", "store.key", severityProblem, "chmod 600", func(w *doctorFixture) {
		w.must(os.Chmod(w.path(".config/kyc-agent/store.key"), 0o644))
		w.end()
	}},
	{"a state folder open to others", "state.mode", severityProblem, "chmod 700", func(w *doctorFixture) {
		w.must(os.Chmod(w.path(".local/state/kyc-agent"), 0o755))
	}},
	{"a clock three minutes behind", "clock.skew", severityWarning, "timedatectl", func(w *doctorFixture) {
		w.cognito.Set(cognitotest.ClockSkew(3 * time.Minute))
	}},
	{"a clock set back by years", "clock.wrong", severityProblem, "timedatectl", func(w *doctorFixture) {
		w.look = func(p *probe) { p.now = func() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) } }
	}},
	{"a host that DNS does not know", "dns.unknown", severityProblem, "getent hosts", func(w *doctorFixture) {
		w.set("KYC_STAGING_ENDPOINT=https://cognito.example")
		w.look = func(p *probe) { p.resolver = resolverAt(w.t, noSuchHost) }
	}},
	{"a resolver that never answers", "dns.silent", severityProblem, "resolv.conf", func(w *doctorFixture) {
		w.set("KYC_STAGING_ENDPOINT=https://cognito.example")
		w.look = func(p *probe) { p.resolver, p.limit = resolverAt(w.t, nil), time.Second }
	}},
	{"a proxy that refuses", "cognito.proxy", severityProblem, "HTTPS_PROXY", func(w *doctorFixture) {
		w.set("KYC_STAGING_ENDPOINT=https://cognito.example")
		refusing := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusProxyAuthRequired) }))
		w.t.Cleanup(refusing.Close)
		w.look = through(refusing.URL)
	}},
	{"a proxy for the shell alone", "proxy.shell-only", severityWarning, "systemctl --user edit", func(w *doctorFixture) {
		w.set("HTTPS_PROXY=" + w.cognito.URL)
		w.look = through(w.cognito.URL)
	}},
	{"a proxy that opens TLS", "cognito.tls", severityProblem, "update-ca-certificates", func(w *doctorFixture) {
		opening := httptest.NewTLSServer(http.NotFoundHandler())
		opening.Config.ErrorLog = log.New(io.Discard, "", 0)
		w.t.Cleanup(opening.Close)
		w.set("KYC_STAGING_ENDPOINT=" + opening.URL)
	}},
	{"a port where nobody listens", "cognito.connection", severityProblem, "curl -sv", func(w *doctorFixture) {
		w.cognito.Close()
	}},
	{"a Cognito that hangs", "cognito.connection", severityProblem, "curl -sv", func(w *doctorFixture) {
		w.cognito.FailNext("InitiateAuth", -1, cognitotest.Hang())
		w.t.Cleanup(w.cognito.ClearFaults)
		w.look = func(p *probe) { p.limit = time.Second }
	}},
	{"a gateway in the way", "cognito.answer", severityProblem, "kyc-agentd doctor staging", func(w *doctorFixture) {
		w.cognito.FailNext("InitiateAuth", -1, cognitotest.BadGateway())
	}},
	{"a firewall in the way", "cognito.blocked", severityProblem, "another network", func(w *doctorFixture) {
		w.cognito.FailNext("InitiateAuth", -1, cognitotest.Blocked())
	}},
	{"too many calls", "cognito.throttled", severityWarning, "wait", func(w *doctorFixture) {
		w.cognito.FailNext("InitiateAuth", -1, cognitotest.Throttle())
	}},
	{"a wrong app client", "cognito.client-id", severityProblem, "check client_id", func(w *doctorFixture) {
		w.set("KYC_STAGING_CLIENT_ID=5v3ryd1ffer3ntcl1entid0000")
	}},
	{"a flow that the app client does not allow", "cognito.flow", severityProblem, "auth_flow", func(w *doctorFixture) {
		w.cognito.Set(cognitotest.Flows("USER_SRP_AUTH"))
	}},
	{"a wrong client secret", "cognito.secret", severityProblem, "client_secret_file", func(w *doctorFixture) {
		w.cognito.Set(cognitotest.ClientSecret("right"))
		w.write("secret", "wrong", 0o600)
		w.set("KYC_STAGING_CLIENT_SECRET_FILE=" + w.path("secret"))
	}},
	{"a wrong user pool", "jwks.answer", severityProblem, "user_pool_id", func(w *doctorFixture) {
		w.set("KYC_STAGING_JWKS_URL=" + w.cognito.URL + "/us-east-2_nowhere/.well-known/jwks.json")
	}},
	{"signing keys that are none", "jwks.answer", severityProblem, "jwks_url", func(w *doctorFixture) {
		w.cognito.FailNext(cognitotest.JWKS, -1, cognitotest.Answer(200, "text/html", "<html>log in to this network</html>"))
	}},
	{"a sign-in that was ended elsewhere", "signin.rejected", severityProblem, "kyc-agentd login staging", func(w *doctorFixture) {
		w.cognito.SignOutUser("ana")
		w.refresh()
	}},
	{"refreshes that fail", "signin.degraded", severityWarning, "by itself", func(w *doctorFixture) {
		w.cognito.FailNext(cognitotest.Refresh, -1, cognitotest.BadGateway())
		w.refresh()
	}},
	{"signing keys of another pool", "signin.degraded", severityWarning, "check user_pool_id", func(w *doctorFixture) {
		w.cognito.RotateKeys()
		w.cognito.Set(cognitotest.ForeignJWKS(true))
		w.refresh()
	}},
	{"nobody is signed in", "signin.absent", severityWarning, "kyc-agentd login staging", func(w *doctorFixture) {
		w.must((&ipc.Client{Socket: w.socket()}).Logout(w.t.Context(), agent.LogoutRequest{}))
	}},
	{"a refresh token that could not be saved", "signin.unsaved", severityProblem, "free some space", func(w *doctorFixture) {
		w.pretend(staging(func(e *agent.EnvironmentStatus) {
			e.State, e.LastError = agent.StateUnsaved, "staging: no space left on device; free some space"
		}))
	}},
	{"a sign-in that ends tomorrow", "signin.ends", severityWarning, "kyc-agentd login staging", func(w *doctorFixture) {
		w.pretend(staging(func(e *agent.EnvironmentStatus) {
			e.Warning = "staging: the sign-in ends in 20h; run: kyc-agentd login staging"
		}))
	}},
	{"ID tokens too short for AWS", "signin.token-life", severityWarning, "IdTokenValidity", func(w *doctorFixture) {
		w.cognito.Set(cognitotest.IDTokenLifetime(5 * time.Minute))
		w.set("KYC_STAGING_IDENTITY_POOL_ID=us-east-2:11111111-2222-3333-4444-555555555555")
		w.verb("correct horse", "login", "-u", "ana", "--password-stdin")
	}},
	{"AWS credentials that fail", "signin.aws", severityWarning, "trust policy", func(w *doctorFixture) {
		w.pretend(staging(func(e *agent.EnvironmentStatus) {
			e.AWSLastError = "staging: STS does not let the role be assumed; check its trust policy"
		}))
	}},
	{"a token file that cannot be written", "sinks.failed", severityWarning, "kyc-agentd reload", func(w *doctorFixture) {
		w.pretend(func(st *agent.Status) {
			st.Sinks = []agent.SinkStatus{{Path: "/home/ana/token", Environment: "staging", Error: "cannot write /home/ana/token: permission denied"}}
		})
	}},
	{"a token file without a sign-in", "sinks.failed", severityWarning, "kyc-agentd login staging", func(w *doctorFixture) {
		w.pretend(func(st *agent.Status) {
			st.Sinks = []agent.SinkStatus{{Path: "/home/ana/token", Environment: "staging", Error: "staging: not signed in; run: kyc-agentd login staging"}}
		})
	}},
	{"a sign-in that is over", "signin.over", severityProblem, "kyc-agentd login staging", func(w *doctorFixture) {
		w.pretend(staging(func(e *agent.EnvironmentStatus) { e.SignInEndsAt = time.Now().Add(-time.Hour) }))
	}},
}

// refresh has a daemon that was just started try to, and fail.
func (w *doctorFixture) refresh() {
	w.t.Helper()
	w.end()
	w.daemon = w.fixture.daemon()
	if _, err := (&ipc.Client{Socket: w.socket()}).Token(w.t.Context(), agent.TokenRequest{}); err == nil {
		w.t.Fatal("the refresh did not fail")
	}
}

// through has the doctor go by a proxy.
func through(proxy string) func(*probe) {
	return func(p *probe) {
		p.proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
	}
}

func TestDoctorFinds(t *testing.T) {
	testpeer.Slow(t)
	var table strings.Builder
	tab := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for i, s := range scenarios {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			w := newDoctorFixture(t)
			s.arrange(w)
			found, exit, out := w.run("")
			f, ok := s.in(found)
			if !ok {
				t.Fatalf("not found: %s, %s with a fix %q in\n%s", s.id, s.severity, s.fix, out)
			}
			if want := map[severity]int{severityProblem: exitProblems, severityWarning: exitWarnings}[f.Severity]; exit < want {
				t.Errorf("exit %d with a %s", exit, f.Severity)
			}
			fmt.Fprintf(tab, "%d\t%s\t%s\t%s\t%s | fix: %s\n", i+1, s.name, f.Severity, f.ID, strings.ReplaceAll(f.Message, w.dir, "~"), strings.ReplaceAll(f.Fix, w.dir, "~"))
		})
	}
	_ = tab.Flush()
	t.Logf("%d broken set-ups:\n%s", len(scenarios), table.String())
}

// in returns the finding that s must have.
func (s scenario) in(found []finding) (finding, bool) {
	for _, f := range found {
		if f.ID == s.id && f.Severity == s.severity && strings.Contains(f.Fix, s.fix) {
			return f, true
		}
	}
	return finding{}, false
}

// Where all is well there is nothing to warn of, at the terminal as for programs.
func TestDoctorOfTheWell(t *testing.T) {
	w := newDoctorFixture(t)
	found, exit, out := w.run("")
	if exit != exitOK {
		t.Errorf("exit %d\n%s", exit, out)
	}
	for _, id := range []string{"socket", "agent", "agents", "variables", "units", "linger", "config", "store", "state", "clock", "dns", "cognito", "jwks", "signin"} {
		if !slices.ContainsFunc(found, func(f finding) bool { return f.ID == id && f.Severity == severityOK }) {
			t.Errorf("nothing good is said of %s\n%s", id, out)
		}
	}
	if n := w.cognito.Calls("InitiateAuth"); n != 3 { // the sign-in's, and one an environment
		t.Errorf("%d sign-ins were begun", n)
	}
}

// Offline nothing goes over the network, and the environment that is named is all
// that is looked at.
func TestDoctorOffline(t *testing.T) {
	w := newDoctorFixture(t)
	before := len(w.cognito.Log())
	w.flags.offline = true
	found, exit, out := w.run("staging")
	if exit != exitOK || len(w.cognito.Log()) != before {
		t.Errorf("exit %d, %d calls\n%s", exit, len(w.cognito.Log())-before, out)
	}
	for _, f := range found {
		if f.ID == "dns" || f.ID == "cognito" || f.ID == "jwks" || f.Environment == "prod" {
			t.Errorf("%+v", f)
		}
	}
}

// Of all that hangs at the same time nothing holds the doctor up.
func TestDoctorEndsInTime(t *testing.T) {
	w := newDoctorFixture(t)
	w.end()
	w.must(os.Remove(w.socket()))
	ln, err := net.Listen("unix", w.socket())
	w.must(err)
	defer ln.Close()
	w.install("systemctl", "exec /bin/sleep 60")
	w.install("loginctl", "exec /bin/sleep 60")
	w.set("KYC_STAGING_ENDPOINT=https://cognito.example")
	w.cognito.FailNext("InitiateAuth", -1, cognitotest.Hang())
	w.cognito.FailNext(cognitotest.JWKS, -1, cognitotest.Hang())
	defer w.cognito.ClearFaults()
	const limit = 800 * time.Millisecond
	w.look = func(p *probe) { p.resolver, p.limit = resolverAt(t, nil), limit }
	started := time.Now()
	_, exit, out := w.run("")
	if took := time.Since(started); exit != exitProblems || took > deadline {
		t.Errorf("exit %d after %s\n%s", exit, took, out)
	}
	if deadline+grace >= 10*time.Second {
		t.Errorf("%s is no less than 10 s", deadline+grace)
	}
}

// A check that cannot be interrupted is left alone.
func TestDoctorLeavesACheckAlone(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	p := newProbe(&cli{vars: config.Environ{"HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir()}}, doctorFlags{offline: true}, "")
	p.limit = time.Millisecond
	found := p.run(t.Context(), []check{{id: "stuck", area: "agent", run: func(context.Context, *probe) []finding {
		<-release
		return nil
	}}})
	if len(found) != 1 || found[0].ID != "stuck.unfinished" || found[0].Severity != severityWarning {
		t.Errorf("%+v", found)
	}
}

// Every finding has the id of its check, a word for a person and, unless nothing has to
// be done, what to do; and none has a secret.
func TestDoctorReport(t *testing.T) {
	w := newDoctorFixture(t)
	w.write("password", "correct horse", 0o600)
	w.set("KYC_STAGING_USERNAME=ana", "KYC_STAGING_PASSWORD_FILE="+w.path("password"), "HTTPS_PROXY=http://user:hunter2@127.0.0.1:1")
	w.look = through("http://user:hunter2@127.0.0.1:1")
	found, _, out := w.run("")
	for _, f := range found {
		ok := slices.ContainsFunc(checks, func(c check) bool {
			return c.area == f.Area && (c.id == f.ID || strings.HasPrefix(f.ID, c.id+"."))
		})
		if !ok || f.Message == "" || (f.Fix == "") != (f.Severity == severityOK) && f.Severity != severityNote {
			t.Errorf("%+v", f)
		}
	}
	for _, secret := range []string{"correct horse", "hunter2"} {
		if strings.Contains(out, secret) {
			t.Errorf("it shows %s\n%s", secret, out)
		}
	}
}

func TestDoctorWritesForAPerson(t *testing.T) {
	r := report{Findings: []finding{
		{ID: "socket", Area: "agent", Severity: severityOK, Message: "it is there"},
		{ID: "units.masked", Area: "service", Severity: severityProblem, Message: "it is\nmasked\n", Fix: "run: unmask"},
		{ID: "signin.ends", Area: "sign-in", Severity: severityWarning, Environment: "prod", Message: "it ends", Fix: "run: login"},
	}}
	var b bytes.Buffer
	if err := r.write(&b, false); err != nil {
		t.Fatal(err)
	}
	const want = `agent
  ok       socket        it is there
service
  problem  units.masked  it is masked
           fix: run: unmask
sign-in
  warning  signin.ends   prod: it ends
           fix: run: login

1 problem, 1 warning
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	if _ = r.write(&b, true); !strings.Contains(b.String(), "\x1b[31mproblem\x1b[0m") {
		t.Errorf("no colour: %q", b.String())
	}
}

// What a program reads: the names and the order of this text stay.
func TestDoctorWritesForAProgram(t *testing.T) {
	r := report{Version: "v1.0.0", Findings: []finding{
		{ID: "signin.ends", Area: "sign-in", Severity: severityWarning, Environment: "prod", Message: "it <ends>", Fix: "run: login", Duration: 12},
		{ID: "socket", Area: "agent", Severity: severityOK, Message: "it is there"},
	}}
	var b bytes.Buffer
	if err := r.writeJSON(&b, false); err != nil {
		t.Fatal(err)
	}
	const want = `{
  "version": "v1.0.0",
  "offline": false,
  "problems": 0,
  "warnings": 1,
  "findings": [
    {
      "id": "signin.ends",
      "area": "sign-in",
      "severity": "warning",
      "environment": "prod",
      "message": "it <ends>",
      "fix": "run: login",
      "duration_ms": 12
    },
    {
      "id": "socket",
      "area": "agent",
      "severity": "ok",
      "message": "it is there",
      "duration_ms": 0
    }
  ]
}
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

// That refresh tokens are rotated is known from the sign-in.
func TestDoctorTellsOfRotation(t *testing.T) {
	w := newDoctorFixture(t, cognitotest.Rotation(30*time.Second))
	for _, rotated := range []bool{false, true} {
		_, _, out := w.run("staging")
		if strings.Contains(out, "refresh tokens are rotated") != rotated {
			t.Errorf("want %t\n%s", rotated, out)
		}
		w.end()
		w.daemon = w.fixture.daemon()
		if _, err := (&ipc.Client{Socket: w.socket()}).Token(t.Context(), agent.TokenRequest{}); err != nil {
			t.Fatal(err)
		}
	}
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
