package doctor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
)

// staging changes the only environment that has a sign-in.
func staging(change func(*agent.EnvironmentStatus)) func(*agent.Status) {
	return func(st *agent.Status) {
		for i := range st.Environments {
			if st.Environments[i].Name == "staging" {
				change(&st.Environments[i])
			}
		}
	}
}

// A scenario breaks something, and says what has to be found.
type scenario struct {
	name     string
	id       string
	severity Severity
	fix      string // part of it
	arrange  func(*fixture)
}

var scenarios = []scenario{
	{"a socket path that no socket can have", "socket.path", SeverityProblem, "shorter", func(w *fixture) {
		w.set("KYC_AGENT_SOCK=/run/" + strings.Repeat("x", 120) + "/agent.sock")
	}},
	{"no agent has ever run", "socket.folder-missing", SeverityProblem, "enable --now kyc-agentd.socket", func(w *fixture) {
		w.must(os.Mkdir(w.path("run"), 0o700))
		w.set("XDG_RUNTIME_DIR=" + w.path("run"))
	}},
	{"a socket folder open to others", "socket.folder-mode", SeverityProblem, "chmod 700", func(w *fixture) {
		w.must(os.Chmod(filepath.Dir(w.socket()), 0o755))
	}},
	{"somebody else's socket folder", "socket.folder-owner", SeverityProblem, "KYC_AGENT_SOCK", func(w *fixture) {
		testpeer.Root(w.t)
		w.must(os.Chown(filepath.Dir(w.socket()), 12345, -1))
	}},
	{"the socket is gone", "socket.missing", SeverityProblem, "enable --now kyc-agentd.socket", func(w *fixture) {
		w.end()
		w.must(os.Remove(w.socket()))
	}},
	{"the socket was removed, and systemd does not know", "socket.missing", SeverityProblem, "run: systemctl --user restart kyc-agentd.socket", func(w *fixture) {
		w.end()
		w.must(os.Remove(w.socket()))
		w.unit(socketUnit, "Listen", w.socket()+" (Stream)")
	}},
	{"so was its folder", "socket.folder-missing", SeverityProblem, "run: systemctl --user restart kyc-agentd.socket", func(w *fixture) {
		w.end()
		w.must(os.RemoveAll(filepath.Dir(w.socket())))
		w.unit(socketUnit, "Listen", w.socket()+" (Stream)")
	}},
	{"the socket was replaced by a dead one", "socket.stale", SeverityProblem, "run: systemctl --user restart kyc-agentd.socket", func(w *fixture) {
		w.end()
		w.unit(socketUnit, "Listen", w.socket()+" (Stream)")
	}},
	{"an agent whose socket was removed", "socket.missing", SeverityProblem, "the log says why", func(w *fixture) {
		w.end()
		w.must(os.Remove(w.socket()))
		w.unit(socketUnit, "Listen", w.socket()+" (Stream)")
		w.listening()
		w.list(4712, os.Getuid(), "/usr/bin/kyc-agentd", "serve")
	}},
	{"is no other agent", "agents.unreachable", SeverityNote, "", func(w *fixture) {
		w.end()
		w.listening()
		w.must(os.Remove(w.socket()))
		w.list(4712, os.Getuid(), "/usr/bin/kyc-agentd", "serve")
	}},
	{"a folder in the socket's place", "socket.kind", SeverityProblem, "/agent.sock/agent.sock", func(w *fixture) {
		w.end()
		w.must(os.Remove(w.socket()))
		w.must(os.Mkdir(w.socket(), 0o700))
	}},
	{"a file in the socket's place", "socket.kind", SeverityProblem, "move it away", func(w *fixture) {
		w.must(os.Remove(w.socket()))
		w.write("kyc-agentd/agent.sock", "", 0o600)
	}},
	{"a socket open to others", "socket.mode", SeverityProblem, "chmod 600", func(w *fixture) {
		w.must(os.Chmod(w.socket(), 0o666))
	}},
	{"somebody else's socket", "socket.owner", SeverityProblem, "KYC_AGENT_SOCK", func(w *fixture) {
		testpeer.Root(w.t)
		w.must(os.Chown(w.socket(), 12345, -1))
	}},
	{"an agent that was killed", "socket.stale", SeverityProblem, "enable --now kyc-agentd.socket", (*fixture).end},
	{"an agent that hangs", "socket.silent", SeverityProblem, "restart kyc-agentd.service", func(w *fixture) {
		w.end()
		w.must(os.Remove(w.socket()))
		ln, err := net.Listen("unix", w.socket())
		w.must(err)
		w.must(os.Chmod(w.socket(), 0o600))
		w.t.Cleanup(func() { _ = ln.Close() })
		w.look = func(p *probe) { p.limit = time.Second }
	}},
	{"an agent of another version", "agent.version", SeverityWarning, "restart kyc-agentd.service", func(w *fixture) {
		w.pretend(func(st *agent.Status) { st.Version = "v0.0.1" })
	}},
	{"a program that was uninstalled", "agent.deleted", SeverityWarning, "restart kyc-agentd.service", func(w *fixture) {
		w.must(os.Remove(w.path("bin/kyc-agentd")))
	}},
	{"a program that was installed anew", "agent.replaced", SeverityWarning, "restart kyc-agentd.service", func(w *fixture) {
		w.pretend(func(st *agent.Status) { st.StartedAt = st.StartedAt.Add(-time.Hour) })
	}},
	{"a second agent", "agents.second", SeverityWarning, "kill 4711", func(w *fixture) {
		w.list(4711, os.Getuid(), "/opt/kyc-agentd", "serve", "--socket", "/tmp/x/agent.sock")
	}},
	{"KYC_AGENT_SOCK of an agent that is gone", "variables.socket", SeverityProblem, "unset KYC_AGENT_SOCK", func(w *fixture) {
		w.set("KYC_AGENT_SOCK=" + w.path("gone.sock"))
	}},
	{"KYC_AGENT_SOCK of another agent", "variables.socket", SeverityWarning, "unset KYC_AGENT_SOCK", func(w *fixture) {
		w.must(os.Mkdir(w.path("other"), 0o700))
		w.answer(w.path("other/a.sock"), agent.Status{Version: w.version, Environments: []agent.EnvironmentStatus{}})
		w.set("KYC_AGENT_SOCK=" + w.path("other/a.sock"))
	}},
	{"a relative KYC_AGENT_SOCK", "variables.socket", SeverityWarning, "absolute", func(w *fixture) {
		w.set("KYC_AGENT_SOCK=agent.sock")
	}},
	{"KYC_ENV of an environment that is not", "variables.environment", SeverityProblem, "unset KYC_ENV", func(w *fixture) {
		w.set("KYC_ENV=uat")
	}},
	{"a relative XDG_RUNTIME_DIR", "variables.runtime-dir", SeverityWarning, "export XDG_RUNTIME_DIR", func(w *fixture) {
		w.set("XDG_RUNTIME_DIR=run", "KYC_AGENT_SOCK="+w.socket())
	}},
	{"an XDG_RUNTIME_DIR that is not there", "variables.runtime-dir", SeverityWarning, "log in again", func(w *fixture) {
		w.set("XDG_RUNTIME_DIR=" + w.path("gone"))
	}},
	{"an XDG_RUNTIME_DIR of another user", "variables.runtime-dir", SeverityWarning, "run: unset XDG_RUNTIME_DIR", func(w *fixture) {
		w.set("XDG_RUNTIME_DIR=/run/user/4294967294", "KYC_AGENT_SOCK="+w.socket())
	}},
	{"no units", "units.missing", SeverityWarning, "make install", func(w *fixture) {
		w.end()
		w.unit(socketUnit, "LoadState", "not-found")
		w.unit(serviceUnit, "LoadState", "not-found")
	}},
	{"a service unit without its socket", "units.half", SeverityProblem, "install kyc-agentd again", func(w *fixture) {
		w.unit(socketUnit, "LoadState", "not-found")
	}},
	{"units without their program", "units.binary", SeverityProblem, "install kyc-agentd again", func(w *fixture) {
		w.unit(serviceUnit, "ExecStart", "{ path=/nowhere/kyc-agentd ; argv[]=/nowhere/kyc-agentd serve }")
	}},
	{"a credential that is not there", "credentials.missing", SeverityProblem, "make that file", func(w *fixture) { w.credential("missing") }},
	{"a credential that is empty", "credentials.empty", SeverityProblem, "write that file", func(w *fixture) {
		w.write("empty", "", 0o600)
		w.credential("empty")
	}},
	{"a credential below what is no folder", "credentials.unreadable", SeverityProblem, "run: ls -l ", func(w *fixture) {
		w.write("file", "x", 0o600)
		w.credential("file/key")
	}},
	{"a masked unit", "units.masked", SeverityProblem, "unmask kyc-agentd.socket", func(w *fixture) {
		w.unit(socketUnit, "LoadState", "masked")
	}},
	{"a unit with a mistake in it", "units.broken", SeverityProblem, "status kyc-agentd.service", func(w *fixture) {
		w.unit(serviceUnit, "LoadState", "bad-setting")
	}},
	{"a service that has failed", "units.failed", SeverityProblem, "journalctl --user -u kyc-agentd", func(w *fixture) {
		w.unit(serviceUnit, "ActiveState", "failed")
	}},
	{"a service that systemd starts again and again", "units.restarting", SeverityProblem, "journalctl --user -u kyc-agentd", func(w *fixture) {
		w.end()
		w.unit(serviceUnit, "ActiveState", "activating")
		w.unit(serviceUnit, "NRestarts", "41")
	}},
	{"a unit that systemd has not read again", "units.reload", SeverityWarning, "daemon-reload", func(w *fixture) {
		w.unit(serviceUnit, "NeedDaemonReload", "yes")
	}},
	{"a socket unit that is not enabled", "units.disabled", SeverityWarning, "enable kyc-agentd.socket", func(w *fixture) {
		w.unit(socketUnit, "UnitFileState", "disabled")
	}},
	{"a socket unit that was stopped", "units.inactive", SeverityProblem, "enable --now kyc-agentd.socket", func(w *fixture) {
		w.end()
		w.unit(socketUnit, "ActiveState", "inactive")
	}},
	{"a service manager that hangs", "units.no-manager", SeverityNote, "kyc-agentd serve", func(w *fixture) {
		w.end()
		w.install("systemctl", "exec /bin/sleep 60")
		w.look = func(p *probe) { p.limit = time.Second }
	}},
	{"no linger", "linger.off", SeverityNote, "enable-linger", func(w *fixture) {
		w.install("loginctl", "echo Linger=no")
	}},
	{"an unknown key in config.toml", "config.invalid", SeverityProblem, "kyc-agentd reload", func(w *fixture) {
		w.write(".config/kyc-agent/config.toml", "store = \"file\"\nrefresh_margn = \"5m\"\n", 0o600)
	}},
	{"a config.toml for everybody", "config.invalid", SeverityProblem, "run: chmod go-w ", func(w *fixture) {
		w.must(os.Chmod(w.path(".config/kyc-agent/config.toml"), 0o666))
	}},
	{"a folder of config.toml for everybody", "config.invalid", SeverityProblem, "run: chmod go-w ", func(w *fixture) {
		w.must(os.Chmod(w.path(".config/kyc-agent"), 0o777))
	}},
	{"a variable of no environment", "config.variable", SeverityWarning, "unset KYC_UAT_CLIENT_ID", func(w *fixture) {
		w.set("KYC_UAT_CLIENT_ID=x")
	}},
	{"a change that was not loaded", "config.not-loaded", SeverityWarning, "kyc-agentd reload", func(w *fixture) {
		w.set("KYC_STAGING_API_URL=https://elsewhere.example")
	}},
	{"an audit log that cannot be written", "audit.broken", SeverityProblem, "with room", func(w *fixture) {
		w.pretend(func(st *agent.Status) {
			st.Audit = &agent.AuditStatus{Mode: "required", Error: "no space left on device"}
		})
	}},
	{"an audit log that lacks lines", "audit.dropped", SeverityWarning, "audit required", func(w *fixture) {
		w.pretend(func(st *agent.Status) { st.Audit = &agent.AuditStatus{Mode: "on", Dropped: 3} })
	}},
	{"no audit log", "audit.off", SeverityNote, "", func(w *fixture) {
		w.pretend(func(st *agent.Status) { st.Audit = &agent.AuditStatus{Mode: "off"} })
	}},
	{"a client secret open to others", "secrets.client-secret", SeverityProblem, "chmod 600", func(w *fixture) {
		w.write("secret", "sekrit", 0o644)
		w.set("KYC_STAGING_CLIENT_SECRET_FILE=" + w.path("secret"))
	}},
	{"no password to sign in with", "secrets.password", SeverityProblem, "mode 0600", func(w *fixture) {
		w.set("KYC_STAGING_USERNAME=ana", "KYC_STAGING_PASSWORD_FILE="+w.path("gone"))
	}},
	{"a fleet without TLS", "secrets.postgres", SeverityProblem, "write sslmode=verify-full", func(w *fixture) {
		w.write("dsn", "postgres://agent:Hidden-password-6@db.example/kyc", 0o600)
		w.write(".config/kyc-agent/config.toml", "store = \"postgres\"\npostgres_dsn_file = \""+w.path("dsn")+"\"\n", 0o600)
	}},
	{"neither keyring nor key", "store.memory", SeverityWarning, "kyc-agentd keygen", func(w *fixture) {
		w.write(".config/kyc-agent/config.toml", "", 0o600)
		w.pretend(func(st *agent.Status) { st.Store = store.Info{Kind: "memory"} })
	}},
	{"the store's key open to others", "store.key", SeverityProblem, "chmod 600", func(w *fixture) {
		w.must(os.Chmod(w.path(".config/kyc-agent/store.key"), 0o644))
		w.end()
	}},
	{"a state folder open to others", "state.mode", SeverityProblem, "chmod 700", func(w *fixture) {
		w.must(os.Chmod(w.path(".local/state/kyc-agent"), 0o755))
	}},
	{"a clock three minutes behind", "clock.skew", SeverityWarning, "timedatectl", func(w *fixture) {
		w.cognito.Set(cognitotest.ClockSkew(3 * time.Minute))
	}},
	{"a clock set back by years", "clock.wrong", SeverityProblem, "timedatectl", func(w *fixture) {
		w.look = func(p *probe) { p.now = func() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) } }
	}},
	{"a host that DNS does not know", "dns.unknown", SeverityProblem, "getent hosts", func(w *fixture) {
		w.set("KYC_STAGING_ENDPOINT=https://cognito.example")
		w.look = func(p *probe) { p.resolver = resolverAt(w.t, noSuchHost) }
	}},
	{"a resolver that never answers", "dns.silent", SeverityProblem, "resolv.conf", func(w *fixture) {
		w.set("KYC_STAGING_ENDPOINT=https://cognito.example")
		w.look = func(p *probe) { p.resolver, p.limit = resolverAt(w.t, nil), time.Second }
	}},
	{"a proxy that refuses", "cognito.proxy", SeverityProblem, "HTTPS_PROXY", func(w *fixture) {
		w.set("KYC_STAGING_ENDPOINT=https://cognito.example")
		refusing := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusProxyAuthRequired) }))
		w.t.Cleanup(refusing.Close)
		w.look = through(refusing.URL)
	}},
	{"a proxy for the shell alone", "proxy.shell-only", SeverityWarning, "systemctl --user edit", func(w *fixture) {
		w.set("HTTPS_PROXY=" + w.cognito.URL)
		w.look = through(w.cognito.URL)
	}},
	{"a proxy that opens TLS", "cognito.tls", SeverityProblem, "update-ca-certificates", func(w *fixture) {
		opening := httptest.NewTLSServer(http.NotFoundHandler())
		opening.Config.ErrorLog = log.New(io.Discard, "", 0)
		w.t.Cleanup(opening.Close)
		w.set("KYC_STAGING_ENDPOINT=" + opening.URL)
	}},
	{"a CA for other programs", "ca.ignored", SeverityNote, "Environment=SSL_CERT_FILE=/etc/corp.pem", func(w *fixture) {
		w.set("REQUESTS_CA_BUNDLE=/etc/corp.pem")
	}},
	{"a CA file that is gone", "ca.missing", SeverityProblem, "SSL_CERT_FILE", func(w *fixture) {
		w.set("SSL_CERT_FILE=" + w.path("gone.pem"))
	}},
	{"a CA file for everybody", "ca.writable", SeverityProblem, "run: chmod go-w ", func(w *fixture) {
		w.write("corp.pem", "", 0o666)
		w.set("SSL_CERT_FILE=" + w.path("corp.pem"))
	}},
	{"a CA for the shell alone", "ca.shell-only", SeverityWarning, "systemctl --user edit", func(w *fixture) {
		w.write("corp.pem", "", 0o600)
		w.set("SSL_CERT_FILE=" + w.path("corp.pem"))
	}},
	{"an endpoint that is not AWS's", "config.endpoint", SeverityNote, "", func(*fixture) {}},
	{"a proxy of the agent", "config.network", SeverityNote, "", func(w *fixture) {
		w.pretend(func(st *agent.Status) { st.Network = map[string]string{"proxy": "http://proxy.example:3128"} })
	}},
	{"the issuer of another pool", "issuer.differs", SeverityProblem, "remove issuer", func(w *fixture) {
		behind, err := url.Parse(w.cognito.URL)
		w.must(err)
		pass := httputil.NewSingleHostReverseProxy(behind)
		front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
				_, _ = io.WriteString(rw, `{"issuer":"https://issuer.example/pool"}`)
				return
			}
			pass.ServeHTTP(rw, r)
		}))
		w.t.Cleanup(front.Close)
		w.set("KYC_STAGING_ENDPOINT="+front.URL, "KYC_STAGING_ISSUER="+w.cognito.Issuer())
	}},
	{"a callback URL that is not registered", "domain.redirect-uri", SeverityProblem, "correct redirect_uris of environment staging", func(w *fixture) {
		w.browser(w.cognito.Domain())
	}},
	{"a domain that DNS does not know", "domain.dns", SeverityProblem, "getent hosts kyc.example", func(w *fixture) {
		w.browser("https://kyc.example")
		w.look = func(p *probe) { p.resolver = resolverAt(w.t, noSuchHost) }
	}},
	{"a domain where nobody listens", "domain.connection", SeverityProblem, "curl -sv http://127.0.0.1:1/oauth2/authorize", func(w *fixture) {
		w.browser("http://127.0.0.1:1")
	}},
	{"a domain behind a proxy that opens TLS", "domain.tls", SeverityProblem, "update-ca-certificates", func(w *fixture) {
		opening := httptest.NewTLSServer(http.NotFoundHandler())
		opening.Config.ErrorLog = log.New(io.Discard, "", 0)
		w.t.Cleanup(opening.Close)
		w.browser(opening.URL)
	}},
	{"a domain that is another web site", "domain.answer", SeverityProblem, "check domain of environment staging", func(w *fixture) {
		site := httptest.NewServer(http.NotFoundHandler())
		w.t.Cleanup(site.Close)
		w.browser(site.URL)
	}},
	{"a port where nobody listens", "cognito.connection", SeverityProblem, "curl -sv", func(w *fixture) {
		w.cognito.Close()
	}},
	{"a Cognito that hangs", "cognito.connection", SeverityProblem, "curl -sv", func(w *fixture) {
		w.cognito.FailNext("InitiateAuth", -1, cognitotest.Hang())
		w.t.Cleanup(w.cognito.ClearFaults)
		w.look = func(p *probe) { p.limit = time.Second }
	}},
	{"a gateway in the way", "cognito.answer", SeverityProblem, "kyc-agentd doctor staging", func(w *fixture) {
		w.cognito.FailNext("InitiateAuth", -1, cognitotest.BadGateway())
	}},
	{"a firewall in the way", "cognito.blocked", SeverityProblem, "another network", func(w *fixture) {
		w.cognito.FailNext("InitiateAuth", -1, cognitotest.Blocked())
	}},
	{"too many calls", "cognito.throttled", SeverityWarning, "wait", func(w *fixture) {
		w.cognito.FailNext("InitiateAuth", -1, cognitotest.Throttle())
	}},
	{"a wrong app client of an environment that nobody uses", "cognito.client-id", SeverityNote, "check client_id", func(w *fixture) {
		w.set("KYC_PROD_CLIENT_ID=5v3ryd1ffer3ntcl1entid0000")
	}},
	{"a host of an environment that nobody uses", "dns.unknown", SeverityNote, "getent hosts", func(w *fixture) {
		w.set("KYC_PROD_ENDPOINT=https://cognito.invalid")
	}},
	{"nobody uses it, and it is the one that was asked about", "cognito.client-id", SeverityProblem, "check client_id", func(w *fixture) {
		w.set("KYC_PROD_CLIENT_ID=5v3ryd1ffer3ntcl1entid0000")
		w.look = func(p *probe) { p.opts.Environment = "prod" }
	}},
	{"no sign-in, and a token file waits for one", "cognito.client-id", SeverityProblem, "check client_id", func(w *fixture) {
		w.set("KYC_PROD_CLIENT_ID=5v3ryd1ffer3ntcl1entid0000")
		w.write(".config/kyc-agent/config.toml", "store = \"file\"\n[[sinks]]\nenvironment = \"prod\"\n", 0o600)
	}},
	{"a wrong app client", "cognito.client-id", SeverityProblem, "check client_id", func(w *fixture) {
		w.set("KYC_STAGING_CLIENT_ID=5v3ryd1ffer3ntcl1entid0000")
	}},
	{"a flow that the app client does not allow", "cognito.flow", SeverityProblem, "auth_flow", func(w *fixture) {
		w.cognito.Set(cognitotest.Flows("USER_SRP_AUTH"))
	}},
	{"a wrong client secret", "cognito.secret", SeverityProblem, "client_secret_file", func(w *fixture) {
		w.cognito.Set(cognitotest.ClientSecret("right"))
		w.write("secret", "wrong", 0o600)
		w.set("KYC_STAGING_CLIENT_SECRET_FILE=" + w.path("secret"))
	}},
	{"a wrong user pool", "jwks.answer", SeverityProblem, "user_pool_id", func(w *fixture) {
		w.set("KYC_STAGING_JWKS_URL=" + w.cognito.URL + "/us-east-2_nowhere/.well-known/jwks.json")
	}},
	{"signing keys that are none", "jwks.answer", SeverityProblem, "jwks_url", func(w *fixture) {
		w.cognito.FailNext(cognitotest.JWKS, -1, cognitotest.Answer(200, "text/html", "<html>log in to this network</html>"))
	}},
	{"a sign-in that was ended elsewhere", "signin.rejected", SeverityProblem, "kyc-agentd login staging", func(w *fixture) {
		w.cognito.SignOutUser("ana")
		w.refresh()
	}},
	{"refreshes that fail", "signin.degraded", SeverityWarning, "by itself", func(w *fixture) {
		w.cognito.FailNext(cognitotest.Refresh, -1, cognitotest.BadGateway())
		w.refresh()
	}},
	{"signing keys of another pool", "signin.degraded", SeverityWarning, "check user_pool_id", func(w *fixture) {
		w.cognito.RotateKeys()
		w.cognito.Set(cognitotest.ForeignJWKS(true))
		w.refresh()
	}},
	{"nobody is signed in", "signin.absent", SeverityWarning, "kyc-agentd login staging", func(w *fixture) {
		w.must(w.client().Logout(w.t.Context(), agent.LogoutRequest{}))
	}},
	{"a refresh token that could not be saved", "signin.unsaved", SeverityProblem, "free some space", func(w *fixture) {
		w.pretend(staging(func(e *agent.EnvironmentStatus) {
			e.State, e.LastError = agent.StateUnsaved, "staging: no space left on device; free some space"
		}))
	}},
	{"a sign-in that ends tomorrow", "signin.ends", SeverityWarning, "kyc-agentd login staging", func(w *fixture) {
		w.pretend(staging(func(e *agent.EnvironmentStatus) {
			e.Warning = "staging: the sign-in ends in 20h; run: kyc-agentd login staging"
		}))
	}},
	{"ID tokens too short for AWS", "signin.token-life", SeverityWarning, "IdTokenValidity", func(w *fixture) {
		w.cognito.Set(cognitotest.IDTokenLifetime(5 * time.Minute))
		w.set("KYC_STAGING_IDENTITY_POOL_ID=us-east-2:11111111-2222-3333-4444-555555555555")
		w.verb("correct horse", "login", "-u", "ana", "--password-stdin")
	}},
	{"AWS credentials that fail", "signin.aws", SeverityWarning, "trust policy", func(w *fixture) {
		w.pretend(staging(func(e *agent.EnvironmentStatus) {
			e.AWSLastError = "staging: STS does not let the role be assumed; check its trust policy"
		}))
	}},
	{"a token file that cannot be written", "sinks.failed", SeverityWarning, "kyc-agentd reload", func(w *fixture) {
		w.pretend(func(st *agent.Status) {
			st.Sinks = []agent.SinkStatus{{Path: "/home/ana/token", Environment: "staging", Error: "cannot write /home/ana/token: permission denied"}}
		})
	}},
	{"a token file without a sign-in", "sinks.failed", SeverityWarning, "kyc-agentd login staging", func(w *fixture) {
		w.pretend(func(st *agent.Status) {
			st.Sinks = []agent.SinkStatus{{Path: "/home/ana/token", Environment: "staging", Error: "staging: not signed in; run: kyc-agentd login staging"}}
		})
	}},
	{"a socket that cannot be made", "sockets.failed", SeverityWarning, "kyc-agentd reload", func(w *fixture) {
		w.pretend(func(st *agent.Status) {
			st.Sockets = []agent.SocketStatus{{Name: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}, Error: "socket path x has 200 bytes"}}
		})
	}},
	{"a sign-in that is over", "signin.over", SeverityProblem, "kyc-agentd login staging", func(w *fixture) {
		w.pretend(staging(func(e *agent.EnvironmentStatus) { e.SignInEndsAt = time.Now().Add(-time.Hour) }))
	}},
}

// listening has the kernel list the daemon's socket, as it does until the last process closes it.
func (w *fixture) listening() {
	w.write("proc/net/unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"+
		"0000000000000000: 00000002 00000000 00010000 0001 01 50661 "+w.socket()+"\n", 0o600)
}

// refresh has a daemon that was just started try to, and fail.
func (w *fixture) refresh() {
	w.t.Helper()
	w.end()
	w.start()
	if _, err := w.client().Token(w.t.Context(), agent.TokenRequest{}); err == nil {
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
			w := newFixture(t)
			s.arrange(w)
			found, worst, out := w.run("")
			f, ok := s.in(found)
			if !ok {
				t.Fatalf("not found: %s, %s with a fix %q in\n%s", s.id, s.severity, s.fix, out)
			}
			if want := map[Severity]int{SeverityProblem: 2, SeverityWarning: 1}[f.Severity]; worst < want {
				t.Errorf("worst is %d with a %s", worst, f.Severity)
			}
			for _, f := range found {
				if command := strings.Join(f.Command, " "); command != "" && !safeCommand.MatchString(command) {
					t.Errorf("%s: --fix would run %s", f.ID, command)
				}
			}
			fmt.Fprintf(tab, "%d\t%s\t%s\t%s\t%s | fix: %s\n", i+1, s.name, f.Severity, f.ID, strings.ReplaceAll(f.Message, w.dir, "~"), strings.ReplaceAll(f.Fix, w.dir, "~"))
		})
	}
	_ = tab.Flush()
	t.Logf("%d broken set-ups:\n%s", len(scenarios), table.String())
}

// safeCommand is all that `doctor --fix` may run.
var safeCommand = regexp.MustCompile(`^kyc-agentd (start|restart|reload)$` +
	`|^systemctl --user (daemon-reload|enable (--now )?kyc-agentd\.socket|restart kyc-agentd\.socket)$` +
	`|^chmod (600|700) /[^ ]+$`)

// A restart is safe where all sign-ins outlive the agent.
func TestDoctorRestartsNoMemory(t *testing.T) {
	for _, c := range []struct{ lasting, unsaved, safe bool }{{true, false, true}, {false, false, false}, {true, true, false}} {
		p := newProbe(Options{Version: "v2"})
		p.status.Version, p.status.Store.Lasting = "v1", c.lasting
		if c.unsaved {
			p.status.Environments = []agent.EnvironmentStatus{{Name: "prod", State: agent.StateUnsaved}}
		}
		if found := checkAgent(t.Context(), p); len(found) != 1 || len(found[0].Command) > 0 != c.safe {
			t.Errorf("%+v: %+v", c, found)
		}
	}
}

// in returns the finding that s must have.
func (s scenario) in(found []Finding) (Finding, bool) {
	for _, f := range found {
		if f.ID == s.id && f.Severity == s.severity && strings.Contains(f.Fix, s.fix) {
			return f, true
		}
	}
	return Finding{}, false
}

// Where all is well there is nothing to warn of, at the terminal as for programs.
func TestDoctorOfTheWell(t *testing.T) {
	w := newFixture(t)
	w.browser(w.cognito.Domain())
	w.cognito.Set(cognitotest.RedirectURIs(testRedirect))
	found, worst, out := w.run("")
	if worst != 0 {
		t.Errorf("worst %d\n%s", worst, out)
	}
	for _, id := range []string{"socket", "agent", "agents", "variables", "units", "linger", "config", "store", "state", "clock", "dns", "cognito", "jwks", "domain", "signin"} {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.ID == id && f.Severity == SeverityOK }) {
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
	w := newFixture(t)
	before := len(w.cognito.Log())
	w.offline = true
	found, worst, out := w.run("staging")
	if worst != 0 || len(w.cognito.Log()) != before {
		t.Errorf("worst %d, %d calls\n%s", worst, len(w.cognito.Log())-before, out)
	}
	for _, f := range found {
		if f.ID == "dns" || f.ID == "cognito" || f.ID == "jwks" || f.ID == "domain" || f.Environment == "prod" {
			t.Errorf("%+v", f)
		}
	}
}

// Of all that hangs at the same time nothing holds the doctor up.
func TestDoctorEndsInTime(t *testing.T) {
	w := newFixture(t)
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
	_, worst, out := w.run("")
	if took := time.Since(started); worst != 2 || took > deadline {
		t.Errorf("worst %d after %s\n%s", worst, took, out)
	}
	if deadline+grace >= 10*time.Second {
		t.Errorf("%s is no less than 10 s", deadline+grace)
	}
}

// A check that cannot be interrupted is left alone.
func TestDoctorLeavesACheckAlone(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	p := newProbe(Options{Vars: config.Environ{"HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir()}, Offline: true, NoAgent: noAgent})
	p.limit = time.Millisecond
	found := p.run(t.Context(), []check{{id: "stuck", area: "agent", run: func(context.Context, *probe) []Finding {
		<-release
		return nil
	}}})
	if len(found) != 1 || found[0].ID != "stuck.unfinished" || found[0].Severity != SeverityWarning {
		t.Errorf("%+v", found)
	}
}

// Every finding has the id of its check, a word for a person and, unless nothing has to
// be done, what to do; and none has a secret.
func TestDoctorReport(t *testing.T) {
	w := newFixture(t)
	w.write("password", "correct horse", 0o600)
	w.set("KYC_STAGING_USERNAME=ana", "KYC_STAGING_PASSWORD_FILE="+w.path("password"), "HTTPS_PROXY=http://user:hunter2@127.0.0.1:1")
	w.look = through("http://user:hunter2@127.0.0.1:1")
	found, _, out := w.run("")
	for _, f := range found {
		ok := slices.ContainsFunc(checks, func(c check) bool {
			return c.area == f.Area && (c.id == f.ID || strings.HasPrefix(f.ID, c.id+"."))
		})
		if !ok || f.Message == "" || (f.Fix == "") != (f.Severity == SeverityOK) && f.Severity != SeverityNote {
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
	r := Report{Findings: []Finding{
		{ID: "socket", Area: "agent", Severity: SeverityOK, Message: "it is there"},
		{ID: "units.masked", Area: "service", Severity: SeverityProblem, Message: "it is\nmasked\n", Fix: "run: unmask"},
		{ID: "signin.ends", Area: "sign-in", Severity: SeverityWarning, Environment: "prod", Message: "it ends", Fix: "run: login"},
	}}
	var b bytes.Buffer
	if err := r.WriteText(&b, false, 0); err != nil {
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
	const narrow = `agent
  ok       socket
    it is there
service
  problem  units.masked
    it is masked
    fix: run: unmask
sign-in
  warning  signin.ends
    prod: it ends
    fix: run: login

1 problem, 1 warning
`
	b.Reset()
	if _ = r.WriteText(&b, false, 24); b.String() != narrow {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	if _ = r.WriteText(&b, true, 0); !strings.Contains(b.String(), "\x1b[31mproblem\x1b[0m") {
		t.Errorf("no colour: %q", b.String())
	}
}

// What a program reads: the names and the order of this text stay.
func TestDoctorWritesForAProgram(t *testing.T) {
	r := Report{Version: "v1.0.0", Findings: []Finding{
		{ID: "signin.ends", Area: "sign-in", Severity: SeverityWarning, Environment: "prod", Message: "it <ends>", Fix: "run: login", Duration: 12},
		{ID: "socket", Area: "agent", Severity: SeverityOK, Message: "it is there"},
	}}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
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
	w := newFixture(t, cognitotest.Rotation(30*time.Second))
	for _, rotated := range []bool{false, true} {
		_, _, out := w.run("staging")
		if strings.Contains(out, "refresh tokens are rotated") != rotated {
			t.Errorf("want %t\n%s", rotated, out)
		}
		w.end()
		w.start()
		if _, err := w.client().Token(t.Context(), agent.TokenRequest{}); err != nil {
			t.Fatal(err)
		}
	}
}
