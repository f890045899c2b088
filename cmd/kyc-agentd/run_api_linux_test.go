package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// An apiFixture has an API that answers with what it was sent, and with whose token.
func apiFixture(t *testing.T) *fixture {
	t.Helper()
	h := newFixture(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s token=%t\n", r.Method, r.RequestURI, body, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ"))
	}))
	t.Cleanup(api.Close)
	h.env = append(h.env, "KYC_STAGING_API_URL="+api.URL)
	return h
}

// apiOnly runs a command of a shell under `run --api-only`.
func (h *fixture) apiOnly(script string, args ...string) outcome {
	h.t.Helper()
	cmd := kycAgentd(append(append([]string{"run", "--api-only"}, args...), "--", "sh", "-c", script)...)
	cmd.Env, cmd.Dir = h.env, h.t.TempDir()
	return h.run("", cmd)
}

const callAPI = `curl -sS -H "Authorization: Bearer $KYC_TOKEN" "$KYC_API_URL/kyc?x=1" -d '{}'; `

func TestRunAPIOnly(t *testing.T) {
	h := apiFixture(t)
	h.daemon("--store", "memory")
	h.login()
	got := h.apiOnly(callAPI + `env | grep ^KYC_ | sed 's/=.*//' | sort; exit 5`)
	if want := "POST /kyc?x=1 {} token=true\nKYC_API_URL\nKYC_ENV\nKYC_TOKEN\n"; got.exit != 5 || got.out != want || got.errOut != "" {
		t.Errorf("%+v, want %q", got, want)
	}
}

func TestRunSandboxed(t *testing.T) {
	testpeer.Program(t, "bwrap", "bubblewrap")
	h := apiFixture(t)
	h.daemon("--store", "memory")
	h.login()
	got := h.apiOnly(callAPI+`env | grep ^KYC_ | sed 's/=.*//' | sort; exit 5`, "--sandbox")
	if want := "POST /kyc?x=1 {} token=true\nKYC_API_URL\nKYC_ENV\nKYC_TOKEN\n"; got.exit != 5 || got.out != want || got.errOut != "" {
		t.Errorf("%+v, want %q", got, want)
	}
}

// Both doors: what is the same with and without a sandbox.
var doors = map[string][]string{"alone": nil, "sandbox": {"--sandbox"}}

// An agent with a sign-in of its own, which ends with the command.
func TestRunAPIOnlyWithItsOwnSignIn(t *testing.T) {
	testpeer.Program(t, "bwrap", "bubblewrap")
	for name, args := range doors {
		t.Run(name, func(t *testing.T) {
			h := apiFixture(t)
			secret := filepath.Join(h.dir, "secrets", "password")
			must(t, os.Mkdir(filepath.Dir(secret), 0o700))
			must(t, os.WriteFile(secret, []byte("correct horse\n"), 0o600))
			got := h.apiOnly(callAPI+`echo "socket $KYC_AGENT_SOCK"`, append([]string{"-u", "ana", "--password-file", secret}, args...)...)
			if want := "POST /kyc?x=1 {} token=true\nsocket \n"; got.exit != 0 || got.out != want || got.errOut != "" {
				t.Errorf("%+v, want %q", got, want)
			}
			if n := h.cognito.Calls("RevokeToken"); n != 1 {
				t.Errorf("%d sign-ins were revoked", n)
			}
		})
	}
}

func TestRunAPIOnlyExitCodes(t *testing.T) {
	testpeer.Program(t, "bwrap", "bubblewrap")
	h := apiFixture(t)
	h.daemon("--store", "memory")
	h.login()
	work := t.TempDir()
	must(t, os.WriteFile(filepath.Join(work, "plain"), []byte("x"), 0o644))
	must(t, testpeer.WriteProgram(filepath.Join(work, "script"), []byte("exit 9\n"), 0o755))
	for name, args := range doors {
		for _, tt := range []struct {
			command []string
			exit    int
			line    string
		}{
			{[]string{"true"}, 0, ""},
			{[]string{"sh", "-c", "exit 77"}, 77, ""},
			{[]string{"sh", "-c", "kill -9 $$"}, 137, ""},
			{[]string{"./script"}, 9, ""},
			{[]string{"no-such-command"}, 127, "kyc-agentd: no such command: no-such-command\n"},
			{[]string{"./plain"}, 126, "kyc-agentd: cannot run ./plain: permission denied\n"},
		} {
			cmd := kycAgentd(append(append(append([]string{"run", "--api-only"}, args...), "--"), tt.command...)...)
			cmd.Dir = work
			if got := h.run("", cmd); got.exit != tt.exit || got.errOut != tt.line || got.out != "" {
				t.Errorf("%s: %q: %+v", name, tt.command, got)
			}
		}
	}
}

func TestRunAPIOnlyRefuses(t *testing.T) {
	h := apiFixture(t)
	h.daemon("--store", "memory")
	empty, fake := t.TempDir(), t.TempDir()
	const broken = "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
	must(t, testpeer.WriteProgram(filepath.Join(fake, "bwrap"), []byte(broken), 0o755))
	must(t, os.Symlink("/bin/true", filepath.Join(empty, "true")))
	project := filepath.Join(h.dir, "project")
	must(t, os.MkdirAll(filepath.Join(h.dir, ".config", "x"), 0o700))
	must(t, os.Mkdir(project, 0o700))
	for _, tt := range []struct {
		args, path, dir string
		exit            int
		line            string
	}{
		{"--sandbox", "", project, 64, "--sandbox, --allow-path and --allow-method are for --api-only; add --api-only"},
		{"--allow-path /kyc", "", project, 64, "--sandbox, --allow-path and --allow-method are for --api-only; add --api-only"},
		{"--api-only --allow-path kyc", "", project, 64, `--allow-path: bad path "kyc"; it does not begin with /; run: kyc-agentd run --help`},
		{"--api-only --allow-path /a//b", "", project, 64, `--allow-path: bad path "/a//b"; it has an empty part: //; run: kyc-agentd run --help`},
		{"--api-only --allow-method get", "", project, 64, `--allow-method: bad method "get"; write GET; run: kyc-agentd run --help`},
		{"--api-only --allow-method GET --allow-method GET", "", project, 64, `--allow-method: "GET" is listed twice; run: kyc-agentd run --help`},
		{"--api-only nowhere", "", project, 78, `unknown environment "nowhere"; configured are: prod, staging`},
		{"--api-only --socket /nowhere/agent.sock", "", project, 69, "no agent answers on /nowhere/agent.sock; run: kyc-agentd serve, or check --socket and KYC_AGENT_SOCK"},
		{"--api-only --sandbox", empty, project, 78, "--sandbox needs bubblewrap, and there is no bwrap on PATH; run: sudo apt-get install bubblewrap (or dnf, pacman)"},
		{"--api-only --sandbox", fake + ":/bin", project, 78, "bubblewrap cannot make the sandbox: bwrap: No permissions to create new namespace; allow user name spaces to bwrap: sysctl kernel.unprivileged_userns_clone, or an AppArmor profile for bwrap"},
		{"--api-only --sandbox", "", h.dir, 78, "--sandbox: the working folder " + h.dir + " has your home folder in it, and so the start-up files of your programs; run it in a project's folder"},
		{"--api-only --sandbox", "", "/", 78, "--sandbox: the working folder / has your home folder in it, and so the start-up files of your programs; run it in a project's folder"},
		{"--api-only --sandbox", "", filepath.Join(h.dir, ".config", "x"), 78, "--sandbox: the working folder " + h.dir + "/.config/x is where programs keep their settings; run it in a project's folder"},
		{"--api-only --sandbox", "", "/usr/share", 78, "--sandbox: the working folder /usr/share is the system's; run it in a project's folder"},
	} {
		cmd := kycAgentd(append(append([]string{"run"}, strings.Fields(tt.args)...), "--", "true")...)
		cmd.Dir = tt.dir
		g := *h
		if tt.path != "" {
			g.env = append(append([]string{}, h.env...), "PATH="+tt.path)
		}
		g.run("", cmd).want(t, tt.exit, tt.line)
	}
}

// What the command leaves behind ends with it, and can use the port until then: also what has
// gone into a session of its own, what TERM does not end and what is stopped.
func TestRunAPIOnlyEndsDescendants(t *testing.T) {
	h := apiFixture(t)
	h.daemon("--store", "memory")
	h.login()
	dir := t.TempDir()
	script := `
cd ` + dir + `
setsid sh -c 'trap "curl -sS -o last -H \"Authorization: Bearer $KYC_TOKEN\" $KYC_API_URL/last; exit" TERM; echo $$ >polite; while :; do sleep 0.05; done' >/dev/null 2>&1 &
setsid sh -c 'trap "" TERM; echo $$ >stubborn; while :; do sleep 0.05; done' >/dev/null 2>&1 &
setsid sh -c 'echo $$ >stopped; kill -STOP $$' >/dev/null 2>&1 &
while ! [ -s polite ] || ! [ -s stubborn ] || ! [ -s stopped ]; do sleep 0.05; done
exit 3`
	if got := h.apiOnly(script); got.exit != 3 || got.errOut != "" {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{"polite", "stubborn", "stopped"} {
		pid, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err == nil {
			t.Errorf("%s, process %s, is still there", name, pid)
		}
	}
	if last, _ := os.ReadFile(filepath.Join(dir, "last")); string(last) != "GET /last  token=true\n" {
		t.Errorf("the last request: %q", last)
	}
}

// A `run` that is killed takes its command along: nobody can get the port and its phantom.
func TestRunAPIOnlyIsKilled(t *testing.T) {
	testpeer.Program(t, "bwrap", "bubblewrap")
	h := apiFixture(t)
	h.daemon("--store", "memory")
	for name, args := range doors {
		dir := t.TempDir()
		cmd := kycAgentd(append(append([]string{"run", "--api-only"}, args...), "--", "sh", "-c", "exec 9>lock; flock 9; echo >ready; exec sleep 600")...)
		cmd.Env, cmd.Dir = h.env, dir
		r, err := start(cmd)
		must(t, err)
		if !happens(func() bool { _, err := os.Stat(filepath.Join(dir, "ready")); return err == nil }) {
			t.Fatalf("%s: the command does not start", name)
		}
		_ = r.Process.Kill()
		<-r.exited
		lock, err := os.Open(filepath.Join(dir, "lock"))
		must(t, err)
		if !happens(func() bool { return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil }) {
			t.Errorf("%s: the command still runs", name)
		}
		lock.Close()
	}
}

// A command in the sandbox gets the signals, and no terminal of its own to type into.
func TestRunSandboxedSignals(t *testing.T) {
	testpeer.Program(t, "bwrap", "bubblewrap")
	h := apiFixture(t)
	h.daemon("--store", "memory")
	p := terminaltest.New(t)
	cmd := kycAgentd("run", "--api-only", "--sandbox", "--", "sh", "-c",
		`trap 'echo got INT' INT; trap 'echo got TERM; exit 7' TERM; tty >/dev/null && (: </dev/tty) 2>/dev/null || echo no terminal; echo ready; while :; do sleep 0.05; done`)
	cmd.Dir = t.TempDir()
	r := h.sessionOn(p, cmd)
	p.Sees("no terminal")
	p.Sees("ready")
	p.Types("\x03")
	p.Sees("got INT")
	_ = r.Process.Signal(syscall.SIGTERM)
	p.Sees("got TERM")
	if exit := h.ended(r); exit != 7 {
		t.Errorf("exit %d", exit)
	}
}
