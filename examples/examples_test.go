// Package examples_test runs every example as a person would, against a real daemon, a
// simulated Cognito and a KYC API on this machine: see examples/internal/testenv.
package examples_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/examples/internal/testenv"
	"github.com/legaltalent/kyc-agent/examples/kycapi"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

func TestMain(m *testing.M) {
	if os.Getenv(paceClient) != "" {
		os.Exit(runPaceClient())
	}
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

func newEnv(t *testing.T, opts ...cognitotest.Option) *testenv.Env {
	t.Helper()
	testpeer.Slow(t)
	bin := filepath.Dir(testpeer.Build(t, "kyc-agentd"))
	testpeer.Build(t, "kyc-token")
	env, err := testenv.Start(context.WithoutCancel(t.Context()), bin, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	return env
}

func newSignedInEnv(t *testing.T) *testenv.Env {
	t.Helper()
	env := newEnv(t)
	if err := env.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return env
}

// An example is a program in this folder, with the calls that the API gets from it.
type example struct {
	name  string
	argv  func(t *testing.T) []string // begins with the interpreter; skips the test if that is missing
	calls []string
	says  string // a part of its stdout
}

var examples = []example{
	{"curl list check, bash", shell("bash", "bash", "curl/list-check.sh"), []string{"/kyc"}, `"is_match":false`},
	{"curl watchlist, bash", shell("bash", "bash", "curl/watchlist.sh"), []string{"/kyc/watchlists"}, `"message":"Watchlist created successfully"`},
	{"curl list check, sh", shell("sh", "dash", "curl/list-check-posix.sh"), []string{"/kyc"}, `"is_match":false`},
	{"curl list check, dash", shell("dash", "dash", "curl/list-check-posix.sh"), []string{"/kyc"}, `"is_match":false`},
	{"python list check", python("python/list_check.py", "Ivan Exampletov"), []string{"/kyc"}, `"is_match": true`},
	{"python watchlist", python("python/watchlist.py", "Suppliers", "Jane Roe"), []string{"/kyc/watchlists"}, `"message": "Watchlist created successfully"`},
	{"python screening, httpx", python("python/screen.py", "Jane Roe"), []string{"/kyc"}, "Jane Roe: low\n"},
	{"httpie list check", httpie("httpie/list-check.sh"), []string{"/kyc"}, `"is_match":false`},
	{"go", goProgram("go", "Jane Roe"), []string{"/kyc"}, `"is_match":false`},
	{"node", node("javascript/example.mjs", "Jane Roe"), []string{"/kyc", "/kyc/watchlists"}, `is_match: false`},
}

func shell(name, pkg string, argv ...string) func(*testing.T) []string {
	return func(t *testing.T) []string {
		testpeer.Program(t, "curl", "curl")
		return append([]string{testpeer.Program(t, name, pkg)}, argv...)
	}
}

// node runs a program beside the installed package.
func node(program string, argv ...string) func(*testing.T) []string {
	return func(t *testing.T) []string {
		code, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		return append(nodeCode(string(code))(t), argv...)
	}
}

func nodeCode(code string) func(*testing.T) []string {
	return func(t *testing.T) []string {
		dir, node := testpeer.NodePackage(t)
		file := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_")+".mjs")
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{node, file}
	}
}

func goProgram(name string, argv ...string) func(*testing.T) []string {
	return func(t *testing.T) []string { return append([]string{testpeer.Example(t, name)}, argv...) }
}

// httpie returns the argv of an sh script for which HTTPie has the plugin installed.
func httpie(argv ...string) func(*testing.T) []string {
	return func(t *testing.T) []string {
		return append([]string{testpeer.Program(t, "env", "coreutils"), "HTTPIE_CONFIG_DIR=" + testpeer.HTTPie(t), "sh"}, argv...)
	}
}

// python runs a program with the installed package; -I keeps the folder of the program,
// which has the source, out of the module path.
func python(argv ...string) func(*testing.T) []string {
	return func(t *testing.T) []string { return append([]string{testpeer.PythonPackage(t), "-I", "-B"}, argv...) }
}

// A result is the exit code and the output of a command.
type result struct {
	code           int
	stdout, stderr string
}

// run runs argv in env, with the additional variables extra.
func run(t *testing.T, env *testenv.Env, argv []string, extra ...string) result {
	t.Helper()
	cmd := env.Command(t.Context(), argv[0], argv[1:]...)
	cmd.Env = slices.Concat(cmd.Env, extra)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func statuses(calls []kycapi.Call) (codes []int) {
	for _, c := range calls {
		codes = append(codes, c.Status)
	}
	return codes
}

func TestExamples(t *testing.T) {
	env := newSignedInEnv(t)
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			before := len(env.API.Calls())
			r := run(t, env, e.argv(t))
			if r.code != 0 || !strings.Contains(r.stdout, e.says) || r.stderr != "" {
				t.Errorf("want exit code 0 and %q, have %+v", e.says, r)
			}
			var want []kycapi.Call
			for _, path := range e.calls {
				want = append(want, kycapi.Call{Path: path, User: testenv.User, Status: 200})
			}
			if got := env.API.Calls()[before:]; !slices.Equal(got, want) {
				t.Errorf("the API saw %+v, want %+v", got, want)
			}
		})
	}
}

// TestFailClosed checks that without a token no request reaches the API at all.
func TestFailClosed(t *testing.T) {
	env := newEnv(t)
	for _, c := range []struct {
		name string
		env  []string
		says string
	}{
		{"not signed in", nil, "staging: not signed in; run: kyc-agentd login staging"},
		{"no agent", []string{"KYC_AGENT_SOCK=/nonexistent/agent.sock"}, "/nonexistent/agent.sock"},
	} {
		for _, e := range examples {
			t.Run(c.name+"/"+e.name, func(t *testing.T) {
				r := run(t, env, e.argv(t), c.env...)
				if r.code == 0 || r.stdout != "" || !strings.Contains(r.stderr, c.says) {
					t.Errorf("want a failure that says %q, have %+v", c.says, r)
				}
				if strings.Contains(r.stderr, "Traceback") || strings.Contains(r.stderr, "    at ") {
					t.Errorf("the message for a person is a stack trace:\n%s", r.stderr)
				}
			})
		}
	}
	if calls := env.API.Calls(); len(calls) != 0 {
		t.Errorf("the API saw %+v, want no call", calls)
	}
}

// TestNoClient checks that a curl example without kyc-token on PATH sends nothing.
func TestNoClient(t *testing.T) {
	env := newEnv(t)
	path := t.TempDir()
	for name, pkg := range map[string]string{"curl": "curl", "dirname": "coreutils"} {
		if err := os.Symlink(testpeer.Program(t, name, pkg), filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range examples[:4] {
		r := run(t, env, e.argv(t), "PATH="+path)
		if r.code != 69 || !strings.Contains(r.stderr, "kyc-token is not on PATH") {
			t.Errorf("%s: %+v", e.name, r)
		}
	}
	if calls := env.API.Calls(); len(calls) != 0 {
		t.Errorf("the API saw %+v, want no call", calls)
	}
}

// TestErrorsOfTheAPI checks that an example fails and shows the status if it is not 200.
func TestErrorsOfTheAPI(t *testing.T) {
	env := newSignedInEnv(t)
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			env.API.ThrottleNext(1, time.Hour) // the libraries wait for seconds
			r := run(t, env, e.argv(t))
			if r.code == 0 || !strings.Contains(r.stderr, "429") {
				t.Errorf("want a failure that says 429, have %+v", r)
			}
		})
	}
}
