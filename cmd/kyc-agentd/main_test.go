package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
	"github.com/legaltalent/kyc-agent/store"
)

// programs are what the test binary is when it is started under their names.
var programs = map[string]func(){"kyc-agentd": main, "show-signals": showSignals}

// TestMain lets the test binary be one of programs.
func TestMain(m *testing.M) {
	// What the daemon starts as itself is then the test binary, under its own name.
	if len(os.Args) >= 2 && slices.Contains([]string{keyringVerb, "sandbox-child"}, os.Args[1]) {
		main()
	}
	version = "test" // as the agents of agenttest, so that nobody is told of another one
	testscript.Main(cleaned{m}, programs)
}

type cleaned struct{ m *testing.M }

func (c cleaned) Run() int {
	defer testpeer.Cleanup()
	return c.m.Run()
}

// serveOn serves s on a socket for the length of the test and returns its path.
func serveOn(t *testing.T, s agent.Service, reload func(context.Context, ipc.Passphrase, string) error) string {
	t.Helper()
	return serveBy(t, &ipc.Server{Service: s, Reload: reload})
}

// serveBy does so by a server of any kind.
func serveBy(t *testing.T, server *ipc.Server) string {
	t.Helper()
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	serveAt(t, path, server)
	return path
}

// serveAt does so at path.
func serveAt(t *testing.T, path string, server *ipc.Server) {
	t.Helper()
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ctx, ln) })
	t.Cleanup(serving.Wait)
	t.Cleanup(cancel)
}

// A session is one run of the program in this process.
type session struct {
	stdin string
	vars  config.Environ
	tty   *os.File // the terminal; nil: there is none
	slow  time.Duration
}

type outcome struct {
	exit        int
	out, errOut string
}

func (s session) run(t *testing.T, args ...string) outcome {
	t.Helper()
	return s.runContext(t.Context(), args...)
}

func (s session) runContext(ctx context.Context, args ...string) outcome {
	var out, errOut bytes.Buffer
	c := &cli{
		io: stdio{
			in: strings.NewReader(s.stdin), out: &out, err: &errOut,
			tty: func() (*terminal.Terminal, error) {
				if s.tty == nil {
					return nil, errors.New("no such device or address")
				}
				return terminal.New(s.tty), nil
			},
		},
		vars: s.vars, slowAfter: s.slow,
		harden: func() error { return nil },
	}
	exit := c.run(ctx, args)
	return outcome{exit, out.String(), errOut.String()}
}

// want checks an outcome whose stdout is empty and whose stderr is one line.
func (o outcome) want(t *testing.T, exit int, line string) {
	t.Helper()
	if o.exit != exit || o.out != "" || o.errOut != "kyc-agentd: "+line+"\n" {
		t.Errorf("got exit %d, stdout %q, stderr %q\nwant exit %d, line %q", o.exit, o.out, o.errOut, exit, line)
	}
}

// Two versions at once: what the person at the command line is told.
func TestAnotherVersionOfTheDaemon(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	serving.Go(func() { _ = (&ipc.Server{Service: otherVersion{}, Version: "v0.9.0"}).Serve(ctx, ln) })
	got := session{}.run(t, "status", "--socket", path)
	if got.exit != exitOK || !strings.HasPrefix(got.out, "kyc-agentd v0.9.0, process ") ||
		got.errOut != "kyc-agentd: warning: the daemon is v0.9.0, and this program test; run: systemctl --user restart kyc-agentd.service\n" {
		t.Errorf("%+v", got)
	}
}

// otherVersion is an agent of version v0.9.0.
type otherVersion struct{ agent.Service }

func (otherVersion) Status(context.Context) (agent.Status, error) {
	return agent.Status{Version: "v0.9.0", PID: 4711, Store: store.Info{Kind: "memory"}}, nil
}

func TestCommandLineErrors(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"srve", `unknown command "srve"; did you mean serve? run: kyc-agentd --help`},
		{"srve --store file", `unknown command "srve"; did you mean serve? run: kyc-agentd --help`},
		{"keyring-chlid", `unknown command "keyring-chlid"; run: kyc-agentd --help`},
		{"help srve", `unknown command "srve"; did you mean serve? run: kyc-agentd --help`},
		{"help login prod", `unknown command "prod"; run: kyc-agentd login --help`},
		{"password rest", "password is followed by reset or change; did you mean password reset? run: kyc-agentd password --help"},
		{"--json status", "unknown flag --json; write it after the command, or run: kyc-agentd --help"},
		{"serve --stroe file", "unknown flag --stroe; did you mean --store? run: kyc-agentd serve --help"},
		{"login --pasword-stdin", "unknown flag --pasword-stdin; did you mean --password-stdin? run: kyc-agentd login --help"},
		{"status -o yaml", `--output: unknown format "yaml"; want json or text; run: kyc-agentd status --help`},
		{"login -e prod staging", "there are two environments: the argument and --env; leave one out"},
		{"login --env=", "--env: it is empty; leave it out for the default environment; run: kyc-agentd login --help"},
		{"env -e prod", "env is not about an environment; leave --env out"},
		{"wait --for soon", "--for: want a duration such as 30s or 5m, or 30 for seconds; run: kyc-agentd wait --help"},
		{"wait --for=-1s", "--for: want a duration such as 30s or 5m, or 30 for seconds; run: kyc-agentd wait --help"},
		{"logout --all prod", "--all is every environment, and one is named; leave one out"},
		{"logout --all -e prod", "--all is every environment, and one is named; leave one out"},
		{"logout --all --all-devices", "--all is every environment here, --all-devices every machine of one environment; leave one out"},
		{"token -f curl prod", "kyc-agentd prints no token; run: kyc-token"},
		{"auth token", "kyc-agentd prints no token; run: kyc-token"},
		{"auth lgoin", `unknown command "lgoin"; did you mean auth login? run: kyc-agentd auth --help`},
		{"completion csh", `no completion for the shell "csh"; there are: bash, fish, zsh; run: kyc-agentd completion --help`},
		{"--bogus", "unknown flag --bogus; run: kyc-agentd --help"},
		{"--bogus=hunter2 status", "unknown flag --bogus; run: kyc-agentd status --help"},
		{"serve --bogus", "unknown flag --bogus; run: kyc-agentd serve --help"},
		{"serve -x", "unknown flag -x; run: kyc-agentd serve --help"},
		{"serve --store disk", `--store: unknown store "disk"; want auto, keyring, file, memory, kubernetes or postgres; run: kyc-agentd serve --help`},
		{"serve --log-level loud", `--log-level: unknown log level "loud"; want debug, info, warn or error; run: kyc-agentd serve --help`},
		{"serve --config", "--config needs a value; run: kyc-agentd serve --help"},
		{"serve now", "serve takes no arguments; run: kyc-agentd serve --help"},
		{"status --json=hunter2", "--json takes no such value; run: kyc-agentd status --help"},
		{"login staging hunter2", "login takes at most one argument; run: kyc-agentd login --help"},
		{"logout a b", "logout takes at most one argument; run: kyc-agentd logout --help"},
		{"login --password hunter2", "there is no --password: every process can read a command line; use --password-stdin, or leave it out to be asked"},
		{"login --password=hunter2 prod", "there is no --password: every process can read a command line; use --password-stdin, or leave it out to be asked"},
		{"login -phunter2", "there is no --password: every process can read a command line; use --password-stdin, or leave it out to be asked"},
		{"login -xhunter2", "unknown flag -x; run: kyc-agentd login --help"},
		{"login -u", "--user needs a value; run: kyc-agentd login --help"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			session{}.run(t, strings.Fields(tt.args)...).want(t, exitUsage, tt.want)
		})
	}
}

func TestNoCommandIsWrongUsage(t *testing.T) {
	if got := (session{}).run(t); got.exit != exitUsage || got.out != "" || got.errOut != (&cli{}).root().Long {
		t.Errorf("%+v", got)
	}
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{&agent.Error{Code: agent.CodeUsage}, 64},
		{&agent.Error{Code: agent.CodeInternal}, 70},
		{errors.New("anything else"), 70},
		{&agent.Error{Code: "of a newer agent"}, 70},
		{&agent.Error{Code: agent.CodeThrottled}, 75},
		{&agent.Error{Code: agent.CodeUnavailable}, 75},
		{context.Canceled, 75},
		{&agent.Error{Code: agent.CodeLoginRequired}, 77},
		{&agent.Error{Code: agent.CodeDenied}, 77},
		{&agent.Error{Code: agent.CodeLocked}, 77},
		{&agent.Error{Code: agent.CodeUnknownEnvironment}, 78},
		{&agent.Error{Code: agent.CodeConfiguration}, 78},
	}
	for _, tt := range tests {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

// Every verb that asks the daemon says the same when there is none.
func TestNoAgent(t *testing.T) {
	socket := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	stale := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	leaveStaleSocket(t, stale)
	const next = "; run: kyc-agentd serve, or check --socket and KYC_AGENT_SOCK"
	for _, verb := range []string{"login", "logout", "status", "reload", "api GET /"} {
		args := strings.Fields(verb)
		session{}.run(t, append(args, "--socket", socket)...).want(t, exitNoAgent, "no agent answers on "+socket+next)
		session{vars: config.Environ{"KYC_AGENT_SOCK=" + stale}}.run(t, args...).want(t, exitNoAgent, "no agent answers on "+stale+next)
	}
}

// leaveStaleSocket makes a socket that nobody listens on.
func leaveStaleSocket(t *testing.T, path string) {
	t.Helper()
	ln, err := socket.Listen(path + "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"x", path); err != nil { // Close would remove it
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	err := error(&agent.Error{Code: agent.CodeConfiguration, Message: "config.toml:1: unknown key x"})
	socket := serveOn(t, nil, func(context.Context, ipc.Passphrase, string) error { return err })
	session{}.run(t, "reload", "--socket", socket).want(t, exitConfiguration, "config.toml:1: unknown key x")
	err = nil
	session{}.run(t, "reload", "--socket", socket).want(t, exitOK, "configuration reloaded")
}

// A verb whose output cannot be written has failed, whatever it did.
func TestOutputThatCannotBeWritten(t *testing.T) {
	c := &cli{io: stdio{in: strings.NewReader(""), out: brokenWriter{}, err: io.Discard}, harden: func() error { return nil }}
	if exit := c.run(t.Context(), []string{"version"}); exit != exitInternal {
		t.Errorf("exit %d", exit)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }
