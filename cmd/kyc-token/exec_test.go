package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

const someVariables = "KYC_TOKEN=eyJ.e30.c2ln\nKYC_API_URL=https://kyc.example/?a=b c\nKYC_TOKEN_EXPIRES_AT=\n"

func TestExec(t *testing.T) {
	sh := testpeer.Program(t, "sh", "dash")
	agent := agentAnswering(t, ok(someVariables))
	become := func(args ...string) *exec.Cmd {
		cmd := program(t, append([]string{"exec", "-socket", agent.path, "prod", "--"}, args...)...)
		cmd.Env = append(cmd.Env, "KYC_TOKEN=old", "KYC_TOKENS=kept", "KYC_TOKEN_EXPIRES_AT=old", "OTHER=a=b")
		return cmd
	}
	finish(t, become(sh, "-c", `echo "$KYC_TOKEN $KYC_API_URL [$KYC_TOKEN_EXPIRES_AT] $KYC_TOKENS $OTHER $1"; env | grep -c KYC_TOKEN=`, "sh", "-f")).
		wantSuccess(t, "eyJ.e30.c2ln https://kyc.example/?a=b c [] kept a=b -f\n1\n")
	if got := agent.received()[0]; !strings.HasPrefix(got, "POST /v1/helper/exec?env=prod HTTP/1.0\r\n") {
		t.Errorf("sent %q", got)
	}

	open := finish(t, exec.Command(sh, "-c", "ls /proc/self/fd"))
	cmd := become("sh", "-c", "echo $$; cat; ls /proc/self/fd; exit 3") // found on the PATH
	cmd.Stdin = strings.NewReader("typed\n")
	o := finish(t, cmd)
	if want := strconv.Itoa(cmd.ProcessState.Pid()) + "\ntyped\n" + open.stdout; o.exit != 3 || o.stdout != want || o.stderr != "" {
		t.Errorf("got %+v, want %q: the same process, with the same stdin and descriptors", o, want)
	}
	cmd = become(sh, "-c", "kill -TERM $$")
	if finish(t, cmd); cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v, want the signal that the command got", cmd.ProcessState)
	}
}

func TestExecCannotRun(t *testing.T) {
	agent := agentAnswering(t, ok(someVariables))
	dir := t.TempDir()
	file := filepath.Join(dir, "data")
	for name, mode := range map[string]os.FileMode{"data": 0o600, "noformat": 0o700} {
		if err := testpeer.WriteProgram(filepath.Join(dir, name), []byte("\x00\x01"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		command string
		exit    int
		words   string
	}{
		{"no-such-program", exitNotFound, "kyc-token: no-such-program: command not found\n"},
		{dir + "/none", exitNotFound, "/none: command not found"},
		{file + "/none", exitNotFound, "/none: command not found"},
		{"", exitNotFound, "command not found"},
		{file, exitNotExecutable, "/data: permission denied"},
		{dir, exitNotExecutable, "permission denied"},
		{"data", exitNotExecutable, "data: permission denied"},
		{"noformat", exitNotExecutable, "noformat: exec format error"},
	} {
		cmd := program(t, "exec", "-socket", agent.path, "--", test.command)
		cmd.Env = []string{"PATH=/nowhere:" + file + ":" + dir + ":/also/nowhere"}
		finish(t, cmd).wantFailure(t, test.exit, "", test.words)
	}
}

// Without a token the command is not started.
func TestExecWithoutAToken(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	for _, raw := range []string{httpAnswer("401 Unauthorized", "prod: not signed in\n"), ok(someVariables)[:80], "", ok("KYC_TOKEN=eyJ")} {
		agent := agentAnswering(t, raw)
		o := finish(t, program(t, "exec", "-socket", agent.path, "--", "touch", marker))
		o.wantFailure(t, o.exit, "", "kyc-token: ")
		if o.exit != exitDenied && o.exit != exitTemporary {
			t.Errorf("exit code %d", o.exit)
		}
	}
	for _, body := range []string{tokenLine, "KYC_TOKEN=x\n\n", "=x\n"} {
		agent := agentAnswering(t, ok(body))
		finish(t, program(t, "exec", "-socket", agent.path, "--", "touch", marker)).
			wantFailure(t, exitInternal, "", "is not what was asked for")
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("it was started")
	}
}

func TestExecPaths(t *testing.T) {
	for _, test := range []struct {
		name, path string
		want       []string
	}{
		{"x", "/a:/b", []string{"/a/x", "/b/x"}},
		{"x", ":/a:", []string{"./x", "/a/x", "./x"}},
		{"x", "", []string{"/bin/x", "/usr/bin/x"}},
		{"./x", "/a", []string{"./x"}},
		{"/x", "/a", []string{"/x"}},
		{"", "/a", []string{""}},
	} {
		if got := execPaths(test.name, test.path); !slices.Equal(got, test.want) {
			t.Errorf("%s on %q: %q, want %q", test.name, test.path, got, test.want)
		}
	}
}

// A link with a helper's name acts as that helper, in any folder.
func TestCalledByName(t *testing.T) {
	agent := wellBehaved(t)
	for name, args := range map[string][]string{git: {"get"}, terraform: {"get", "x"}, goauth: {}} {
		link := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(testpeer.Build(t, "kyc-token"), link); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(link, append(args, "-socket", agent.path)...)
		cmd.Env, cmd.Stdin = []string{}, strings.NewReader("host=x\n")
		o := finish(t, cmd)
		requests := agent.received()
		o.wantSuccess(t, answerTo(requests[len(requests)-1]))
	}
	var targets []string
	for _, request := range agent.received() {
		target, _, _ := strings.Cut(strings.TrimPrefix(request, "POST /v1/helper/"), "?")
		targets = append(targets, strings.Fields(target)[0])
	}
	if slices.Sort(targets); !slices.Equal(targets, []string{"git", "goauth", "terraform"}) {
		t.Errorf("asked in the protocols %q", targets)
	}
}
