package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// forbidden are packages that would cost start-up time, or that can do more than one
// request needs. Each was measured: net/http alone takes 1.4 ms and 4.7 MB.
var forbidden = []string{
	"net", "fmt", "flag", "encoding/json", "crypto/tls", "reflect", "context", "os/signal", "runtime/debug", "unicode/utf16",
}

func TestDependencies(t *testing.T) {
	list := exec.Command("go", "list", "-deps", ".")
	list.Env = append(os.Environ(), "GOOS=linux")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		for _, name := range forbidden {
			if dep == name || strings.HasPrefix(dep, name+"/") {
				t.Errorf("kyc-token depends on %s", dep)
			}
		}
		if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") && !strings.HasSuffix(dep, "/cmd/kyc-token") {
			t.Errorf("kyc-token depends on %s", dep)
		}
	}
}

func TestBinaryIsStaticAndSmall(t *testing.T) {
	path := testpeer.Build(t, "kyc-token")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 1_600_000 {
		t.Errorf("%d bytes, want 1.6 MB at most", info.Size())
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC {
		t.Errorf("%v, want ET_EXEC: position-independent code starts 0.4 ms later", f.Type)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%v: it is not static", p.Type)
		}
	}
	if f.Section(".symtab") != nil || f.Section(".debug_info") != nil {
		t.Error("it is not stripped")
	}
}

// program returns a command for kyc-token in an environment with only PATH.
func program(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(testpeer.Build(t, "kyc-token"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

// finish runs cmd to its end.
func finish(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	err := cmd.Run()
	if _, isExit := errors.AsType[*exec.ExitError](err); err != nil && !isExit {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestBinary(t *testing.T) {
	agent := agentAnswering(t, ok(tokenLine))
	finish(t, program(t, "-socket", agent.path)).wantSuccess(t, tokenLine)
	finish(t, program(t, "--help")).wantSuccess(t, usage)
	finish(t, program(t, "-x")).wantFailure(t, exitUsage, "", "no such flag")
	finish(t, program(t, "-socket", agent.path+"x", "-f", "curl")).
		wantFailure(t, exitUnavailable, failClosed, "no agent answers on "+agent.path+"x; run: kyc-agentd serve --socket ")
	removed := program(t)
	removed.Env = []string{"XDG_RUNTIME_DIR=" + filepath.Dir(agent.path)}
	finish(t, removed).wantFailure(t, exitUnavailable, "", "/kyc-agentd/agent.sock; run: "+startCommand)

	cmd := program(t)
	cmd.Env = []string{"KYC_AGENT_SOCK=" + agent.path, "KYC_ENV=prod"}
	finish(t, cmd).wantSuccess(t, tokenLine)
	if got := agent.received(); !strings.HasPrefix(got[len(got)-1], "GET /v1/token?env=prod HTTP/1.0\r\n") {
		t.Errorf("sent %q", got)
	}
}

func TestFindsTheSocketWithNothingExported(t *testing.T) {
	dir := t.TempDir()
	cmd := program(t)
	cmd.Env = []string{"XDG_RUNTIME_DIR=" + dir}
	finish(t, cmd).wantFailure(t, exitUnavailable, "", dir+"/kyc-agentd/agent.sock")
	cmd = program(t)
	cmd.Env = []string{}
	if o := finish(t, cmd); o.exit != 0 { // unless this user has a real agent
		o.wantFailure(t, o.exit, "", "/run/user/"+strconv.Itoa(os.Geteuid())+"/kyc-agentd/agent.sock")
	}
}

func TestDeadlineOfTheBinary(t *testing.T) {
	testpeer.Slow(t)
	t.Parallel()
	over := make(chan struct{})
	agent := newFakeAgent(t, func(net.Conn) { <-over })
	defer close(over)
	start := time.Now()
	finish(t, program(t, "-socket", agent.path)).wantFailure(t, exitTemporary, "", "did not answer in time")
	if took := time.Since(start); took < limit || took > limit+4*time.Second {
		t.Errorf("gave up after %v, want %v", took, limit)
	}
}

func TestStdoutOfTheBinaryFails(t *testing.T) {
	agent := agentAnswering(t, ok(tokenLine))

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd := program(t, "-socket", agent.path)
	cmd.Stdout = full
	finish(t, cmd).wantFailure(t, exitInternal, "", "stdout: no space left on device")

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_ = r.Close()
	cmd = program(t, "-socket", agent.path)
	cmd.Stdout = w
	finish(t, cmd).wantFailure(t, exitInternal, "", "stdout: broken pipe")
}

func TestClosedStdoutDoesNotReachTheAgent(t *testing.T) {
	sh := testpeer.Program(t, "sh", "dash")
	rest := make(chan string, 1)
	agent := newFakeAgent(t, func(c net.Conn) {
		_, _ = io.WriteString(c, ok(tokenLine))
		more, _ := io.ReadAll(c)
		rest <- string(more)
	})
	cmd := exec.Command(sh, "-c", `exec "$0" -socket "$1" >&-`, testpeer.Build(t, "kyc-token"), agent.path)
	finish(t, cmd)
	if got := <-rest; got != "" {
		t.Errorf("the agent was sent %q", got)
	}
}

// Some callers, such as Node, pass pipes that do not block.
func TestNonBlockingStdout(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 40_000) + "\n"
	agent := agentAnswering(t, ok(body))
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
		if err := syscall.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	defer r.Close()
	cmd := program(t, "-socket", agent.path)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != body {
		t.Errorf("read %d bytes of %d, %v", len(got), len(body), err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// 200 clients at once ask an agent with a backlog of 4.
func TestManyAtOnce(t *testing.T) {
	path, fd := listenRaw(t, 4)
	file := os.NewFile(uintptr(fd), path)
	ln, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	agent := &fakeAgent{path: path}
	agent.serve(t, ln, func(c net.Conn) {
		if agent.record(c) == nil {
			_, _ = io.WriteString(c, ok(tokenLine))
		}
	})
	program(t) // so that the binary is built before the clients start
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() { finish(t, program(t, "-socket", path)).wantSuccess(t, tokenLine) })
	}
	wg.Wait()
	if n := len(agent.received()); n != 200 {
		t.Errorf("%d requests for 200 calls", n)
	}
}

func TestPermissionDenied(t *testing.T) {
	testpeer.Root(t)
	agent := agentAnswering(t, ok(tokenLine))
	for _, dir := range []string{filepath.Dir(agent.path), filepath.Dir(filepath.Dir(agent.path))} {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(filepath.Dir(agent.path), "kyc-token")
	binary, err := os.ReadFile(testpeer.Build(t, "kyc-token"))
	if err != nil {
		t.Fatal(err)
	}
	if err := testpeer.WriteProgram(copied, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(agent.path, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-socket", agent.path)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	finish(t, cmd).wantFailure(t, exitDenied, "", agent.path+": permission denied; check -socket", "(it belongs to user id 0)")
}

// TestCurl runs what the documentation tells people to type, with kyc-token as it is, and
// with one that cannot tell curl anything: it cannot start, is not there, is killed before
// its output or in the middle of it.
func TestCurl(t *testing.T) {
	testpeer.Program(t, "curl", "curl")
	bash := testpeer.Program(t, "bash", "bash")
	var mu sync.Mutex
	var seen []string
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Authorization"))
	}))
	defer api.Close()
	take := func() []string {
		mu.Lock()
		defer mu.Unlock()
		got := seen
		seen = nil
		return got
	}
	curl := func(kycToken string) int {
		cmd := exec.Command(bash, "-c", `curl -sS --max-time 60 --proto -all -K <(`+kycToken+`) "$1"`, testpeer.Build(t, "kyc-token"), api.URL)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		return finish(t, cmd).exit
	}

	agent := agentAnswering(t, ok("oauth2-bearer = \"eyJ\"\n"))
	exit := curl(`"$0" -f curl -socket ` + agent.path)
	if got := take(); exit != 0 || len(got) != 1 || got[0] != "Bearer eyJ" {
		t.Fatalf("curl ended with %d, the API saw %q", exit, got)
	}

	denied := agentAnswering(t, httpAnswer("401 Unauthorized", "prod: not signed in; run: kyc-agentd login prod\n"))
	half := agentAnswering(t, ok("oauth2-bearer = \"eyJ\"\n")[:80])
	empty := agentAnswering(t, ok(""))
	whole := `"$0" -f curl -socket ` + agent.path
	lines := []string{
		`"$0" -f curl -socket ` + denied.path,
		`"$0" -f curl -socket ` + half.path,
		`"$0" -f curl -socket ` + empty.path,
		whole + ".gone",
		`"$0" -f curl -no-such-flag`,
		`"$0" -no-such-flag --format=curl staging prod`,
		`"$0" -f curl ''`,
		whole + " -min-valid",
		"kyc-tokn -f curl",
		"ulimit -v 100000; " + whole,
		"kill -KILL $BASHPID",
	}
	for _, line := range lines {
		exit := curl(line)
		if got := take(); exit == 0 || len(got) != 0 {
			t.Errorf("%s: curl ended with %d, the API saw %q", line, exit, got)
		}
	}
	output := "oauth2-bearer = \"eyJ\"\n" + allowed
	for n := range len(output) {
		curl(whole + " | head -c " + strconv.Itoa(n))
	}
	for _, header := range take() { // the last line allows HTTP before it is complete
		if header != "Bearer eyJ" {
			t.Errorf("a part of the output made curl send %q", header)
		}
	}
}
