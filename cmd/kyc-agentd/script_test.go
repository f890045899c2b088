package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/legaltalent/kyc-agent/agent/awscreds/awstest"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/examples/kycapi"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestScripts runs testdata/script/*.txtar: both binaries, one behaviour a file. Beside
// testscript's own commands there are:
//
//	exits CODE PROGRAM [ARGS…]   exec, and the exit code must be CODE
//	daemon [ARGS…]               starts `kyc-agentd serve ARGS…`, waits for READY=1;
//	                             its log goes to daemon.log
//	halt [SIGNAL]                sends TERM (exit 0 is wanted), KILL, … and waits; a daemon
//	                             that a verb has stopped must have ended with 0, too
//	signal SIGNAL TEXT           sends SIGNAL and waits until the log has a line with TEXT
//	file PATH [MODE [OTHER]]     waits until PATH is a file with this mode (0600) whose
//	                             content is not that of the file OTHER; with ! until
//	                             PATH is not there
//	cognito                      starts a Cognito, points staging and prod at it, and
//	                             adds the user ana with the password "correct horse"
//	cognito user NAME PASSWORD STATUS
//	cognito fail CALL N FAULT    what the next N calls get
//	cognito life DURATION        of ID tokens
//	cognito calls CALL N         so many calls must have come in
//	cognito signout USER         revokes the user's sign-ins
//	cognito secret TEXT          the app client's
//	cognito flows FLOW…          what the app client allows; without any, all
//	cognito reveal on|off        whether an unknown user is told from a wrong password
//	kycapi                       after cognito: starts a KYC API for its tokens, and
//	                             points staging and prod at it
//	kycapi refuse|throttle N     what the next N calls get: 401, or 429
//	aws pool|role                after cognito: starts an AWS that trusts it, and gives
//	                             staging its identity pool, or its role
//	aws fail CALL CODE           what the next call gets
//	aws calls CALL N             so many calls must have come in
func TestScripts(t *testing.T) {
	token := filepath.Dir(testpeer.Build(t, "kyc-token"))
	everyLineRuns(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			return setUpScript(env, token)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "daemon": startDaemon, "halt": haltDaemon, "signal": signalDaemon, "file": awaitFile,
			"cognito": tellCognito, "kycapi": tellAPI, "aws": tellAWS,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// everyLineRuns refuses testscript's own stop, which ends a script there, as passed.
func everyLineRuns(t *testing.T) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(txtar.Parse(text).Comment)) { // without the files
			if words := strings.Fields(line); len(words) > 0 && words[0] == "stop" {
				t.Errorf("%s: nothing after stop would run; write halt for the daemon", path)
			}
		}
	}
}

// background is what a script has started.
type background struct {
	cognito *cognitotest.Server
	api     *kycapi.API
	apiAt   *httptest.Server
	aws     *awstest.Server
	daemon  *running
}

func setUpScript(env *testscript.Env, token string) error {
	// A socket's path has at most 107 bytes, so it is not below $WORK.
	run, err := os.MkdirTemp("", "kyc")
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(run) })
	env.Setenv("PATH", token+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("XDG_RUNTIME_DIR", run)
	env.Vars = append(env.Vars, testpeer.NoRaceSleep)
	env.Setenv("SOCKET", filepath.Join(run, "kyc-agentd", "agent.sock"))
	env.Setenv("CONFIG", filepath.Join(env.WorkDir, "home", ".config", "kyc-agent"))
	b := &background{}
	env.Values["background"] = b
	env.Defer(b.end)
	return os.MkdirAll(filepath.Join(env.WorkDir, "home"), 0o700)
}

func of(ts *testscript.TestScript) *background { return ts.Value("background").(*background) }

// end stops what runs at the end of a script.
func (b *background) end() {
	if b.daemon != nil {
		_ = b.daemon.Process.Signal(syscall.SIGTERM)
		<-b.daemon.exited
	}
	if b.apiAt != nil {
		b.apiAt.Close()
	}
	if b.cognito != nil {
		b.cognito.Close()
	}
	if b.aws != nil {
		b.aws.Close()
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s\nstderr: %s", got, args[0], ts.ReadFile("stderr"))
	}
}

// daemonCommand has a daemon of root's bound by file modes as everybody else's is:
// without capabilities.
func daemonCommand(ts *testscript.TestScript, args []string) *exec.Cmd {
	args = append([]string{"serve"}, args...)
	setpriv, err := exec.LookPath("setpriv")
	if os.Getuid() != 0 || err != nil {
		return kycAgentd(args...)
	}
	return exec.Command(setpriv, append([]string{"--bounding-set=-all", "--inh-caps=-all", "kyc-agentd"}, args...)...)
}

func startDaemon(ts *testscript.TestScript, neg bool, args []string) {
	b := of(ts)
	if neg || b.daemon != nil {
		ts.Fatalf("usage: daemon [ARGS…], one at a time")
	}
	log, err := os.OpenFile(ts.MkAbs("daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd := daemonCommand(ts, args)
	cmd.Dir, cmd.Env, cmd.Stderr = ts.MkAbs("."), scriptEnv(ts), log
	b.daemon, err = launch(cmd, ts.Getenv("XDG_RUNTIME_DIR"))
	ts.Check(err)
}

// scriptEnv is the environment of a script, as far as the daemon may see it.
func scriptEnv(ts *testscript.TestScript) []string {
	env := []string{}
	for _, name := range []string{
		"PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "KYC_AGENT_SOCK", "TMPDIR", "CREDENTIALS_DIRECTORY",
		"KYC_STAGING_ENDPOINT", "KYC_STAGING_USER_POOL_ID", "KYC_STAGING_CLIENT_ID",
		"KYC_STAGING_AUTH_FLOW", "KYC_STAGING_CLIENT_SECRET_FILE", "KYC_STAGING_REFRESH_TOKEN_VALIDITY",
		"KYC_STAGING_IDENTITY_POOL_ID", "KYC_STAGING_AWS_ROLE_ARN", "KYC_STAGING_AWS_ENDPOINT",
		"KYC_STAGING_USERNAME", "KYC_STAGING_PASSWORD_FILE", "KYC_STAGING_API_URL", "KYC_PROD_API_URL",
		"HTTPS_PROXY", "SSL_CERT_FILE", "KYC_PROD_ISSUER",
		"KYC_DEV_CLIENT_ID", "KYC_PROD_ENDPOINT", "KYC_PROD_USER_POOL_ID", "KYC_PROD_CLIENT_ID",
	} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP}

func haltDaemon(ts *testscript.TestScript, neg bool, args []string) {
	b := of(ts)
	name := strings.Join(append(args, "TERM")[:1], "")
	if b.daemon == nil || signals[name] == 0 {
		ts.Fatalf("usage: halt [SIGNAL], after daemon")
	}
	if err := b.daemon.Process.Signal(signals[name]); !errors.Is(err, os.ErrProcessDone) {
		ts.Check(err)
	}
	select {
	case <-b.daemon.exited:
	case <-time.After(time.Minute):
		ts.Fatalf("the daemon does not stop on %s", name)
	}
	if code := b.daemon.ProcessState.ExitCode(); name != "KILL" && code != 0 {
		ts.Fatalf("the daemon exited %d on %s", code, name)
	}
	b.daemon = nil
}

func signalDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal SIGNAL TEXT")
	}
	path := ts.MkAbs("daemon.log")
	before, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(of(ts).daemon.Process.Signal(signals[args[0]]))
	if !happens(func() bool {
		now, err := os.ReadFile(path)
		ts.Check(err)
		return bytes.Contains(now[len(before):], []byte(args[1]))
	}) {
		ts.Fatalf("the log does not say %q", args[1])
	}
}

// happens waits until what another process does makes done true, or gives up.
func happens(done func() bool) bool {
	deadline := time.NewTimer(time.Minute)
	for poll := time.NewTicker(5 * time.Millisecond); ; {
		if done() {
			return true
		}
		select {
		case <-deadline.C:
			return false
		case <-poll.C:
		}
	}
}

func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || len(args) > 3 || neg && len(args) > 1 {
		ts.Fatalf("usage: [!] file PATH [MODE [OTHER]]")
	}
	path, mode, other := ts.MkAbs(args[0]), "0600", ""
	if len(args) > 1 {
		mode = args[1]
	}
	if len(args) > 2 {
		other = ts.ReadFile(args[2])
	}
	if !happens(func() bool {
		info, err := os.Lstat(path)
		if err != nil || neg {
			return neg && errors.Is(err, fs.ErrNotExist)
		}
		data, err := os.ReadFile(path)
		return err == nil && info.Mode().IsRegular() && fmt.Sprintf("%04o", info.Mode()) == mode && string(data) != other
	}) {
		info, err := os.Lstat(path)
		ts.Fatalf("%s: %v %v", path, info, err)
	}
}

var faults = map[string]func() cognitotest.Fault{
	"502": cognitotest.BadGateway, "429": cognitotest.Throttle429, "throttle": cognitotest.Throttle,
	"waf": cognitotest.Blocked, "500": cognitotest.Internal, "drop": cognitotest.Drop,
}

var statuses = map[string]cognitotest.Status{
	"confirmed": cognitotest.Confirmed, "unconfirmed": cognitotest.Unconfirmed, "reset": cognitotest.ResetRequired,
}

func tellCognito(ts *testscript.TestScript, neg bool, args []string) {
	b := of(ts)
	if len(args) == 0 {
		b.cognito = cognitotest.New()
		b.cognito.AddUser(cognitotest.User{Name: "ana", Password: "correct horse"})
		for _, env := range []string{"STAGING", "PROD"} {
			ts.Setenv("KYC_"+env+"_ENDPOINT", b.cognito.URL)
			ts.Setenv("KYC_"+env+"_USER_POOL_ID", b.cognito.PoolID)
			ts.Setenv("KYC_"+env+"_CLIENT_ID", b.cognito.ClientID)
		}
		return
	}
	knob, ok := knobs[args[0]]
	if !ok || b.cognito == nil {
		ts.Fatalf("usage: cognito [KNOB …], see TestScripts")
	}
	ts.Check(knob(b.cognito, args[1:]))
}

func tellAWS(ts *testscript.TestScript, neg bool, args []string) {
	b := of(ts)
	switch strings.Join(args[:min(len(args), 1)], "") {
	case "pool", "role":
		c := b.cognito
		b.aws = awstest.New(awstest.UserPool{Issuer: c.Issuer(), JWKS: c.Issuer() + "/.well-known/jwks.json", ClientID: c.ClientID})
		ts.Setenv("KYC_STAGING_AWS_ENDPOINT", b.aws.URL)
		if args[0] == "pool" {
			ts.Setenv("KYC_STAGING_IDENTITY_POOL_ID", b.aws.IdentityPoolID)
		} else {
			ts.Setenv("KYC_STAGING_AWS_ROLE_ARN", b.aws.RoleARN)
		}
	case "fail":
		b.aws.FailNext(args[1], 1, awstest.Fault{Code: args[2]})
	case "calls":
		if got := strconv.Itoa(b.aws.Calls(args[1])); got != args[2] {
			ts.Fatalf("%s calls of %s", got, args[1])
		}
	default:
		ts.Fatalf("usage: aws KNOB …, see TestScripts")
	}
}

func tellAPI(ts *testscript.TestScript, neg bool, args []string) {
	b := of(ts)
	switch {
	case len(args) == 0 && b.cognito != nil && b.api == nil:
		b.api = kycapi.New(kycapi.Pool{Issuer: b.cognito.Issuer(), JWKSURL: b.cognito.JWKSURL(), ClientID: b.cognito.ClientID})
		b.apiAt = httptest.NewServer(b.api)
		ts.Setenv("KYC_STAGING_API_URL", b.apiAt.URL)
		ts.Setenv("KYC_PROD_API_URL", b.apiAt.URL)
		return
	case len(args) == 2 && b.api != nil:
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		if args[0] == "refuse" {
			b.api.RefuseNext(n)
			return
		}
		if args[0] == "throttle" {
			b.api.ThrottleNext(n, 17*time.Second)
			return
		}
	}
	ts.Fatalf("usage: kycapi [refuse|throttle N], after cognito")
}

var knobs = map[string]func(*cognitotest.Server, []string) error{
	"user": func(s *cognitotest.Server, args []string) error {
		s.AddUser(cognitotest.User{Name: args[0], Password: args[1], Email: args[0] + "@example.com", Status: statuses[args[2]]})
		return nil
	},
	"fail": func(s *cognitotest.Server, args []string) error {
		n, err := strconv.Atoi(args[1])
		if fault := faults[args[2]]; fault != nil && err == nil {
			s.FailNext(args[0], n, fault())
			return nil
		}
		return fmt.Errorf("no such fault: %s", args)
	},
	"life": func(s *cognitotest.Server, args []string) error {
		d, err := time.ParseDuration(args[0])
		s.Set(cognitotest.IDTokenLifetime(d))
		return err
	},
	"calls": func(s *cognitotest.Server, args []string) error {
		if got := strconv.Itoa(s.Calls(args[0])); got != args[1] {
			return fmt.Errorf("%s calls of %s", got, args[0])
		}
		return nil
	},
	"signout": func(s *cognitotest.Server, args []string) error {
		s.SignOutUser(args[0])
		return nil
	},
	"secret": func(s *cognitotest.Server, args []string) error {
		s.Set(cognitotest.ClientSecret(args[0]))
		return nil
	},
	"flows": func(s *cognitotest.Server, args []string) error {
		s.Set(cognitotest.Flows(args...))
		return nil
	},
	"reveal": func(s *cognitotest.Server, args []string) error {
		s.Set(cognitotest.HideUnknownUsers(args[0] == "off"))
		return nil
	},
}
