package main

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

func TestPrintsTheAnswer(t *testing.T) {
	for _, body := range []string{tokenLine, strings.Repeat("x", 100_000) + "\n"} {
		agent := agentAnswering(t, ok(body))
		run(t, nil, "-socket", agent.path).wantSuccess(t, body)
	}
}

func TestDoesNotWaitForTheClose(t *testing.T) {
	over := make(chan struct{})
	agent := newFakeAgent(t, func(c net.Conn) {
		_, _ = io.WriteString(c, ok(tokenLine))
		<-over
	})
	defer close(over)
	run(t, nil, "-socket", agent.path).wantSuccess(t, tokenLine)
}

func TestAnswerInPieces(t *testing.T) {
	agent := newFakeAgent(t, func(c net.Conn) {
		for _, b := range []byte(ok(tokenLine)) {
			_, _ = c.Write([]byte{b})
		}
	})
	run(t, nil, "-socket", agent.path).wantSuccess(t, tokenLine)
}

func TestRequestOnTheWire(t *testing.T) {
	tests := []struct {
		args   []string
		env    []string
		target string
	}{
		{nil, nil, "/v1/token"},
		{[]string{"prod"}, []string{"KYC_ENV", "staging"}, "/v1/token?env=prod"},
		{nil, []string{"KYC_ENV", "prod"}, "/v1/token?env=prod"},
		{[]string{"-f", "curl", "--min-valid=5m", "prod"}, nil, "/v1/token?env=prod&min_valid=5m&format=curl"},
		{[]string{"prod", "--format", "json"}, nil, "/v1/token?env=prod&format=json"},
		{[]string{"-fjson", "--env", "prod"}, []string{"KYC_ENV", "staging"}, "/v1/token?env=prod&format=json"},
		{[]string{"-fcurl", "-e=prod"}, nil, "/v1/token?env=prod&format=curl"},
		{[]string{"-o", "json", "-e", "prod"}, nil, "/v1/token?env=prod&format=json"},
		{[]string{"--username", "ana", "-o", "json"}, nil, "/v1/token?user=ana&format=json"},
		{[]string{"-t", "access", "-f=json"}, nil, "/v1/token?type=access&format=json"},
		{[]string{"-type=access"}, nil, "/v1/token?type=access"},
		{[]string{"-user", "ana smith@x", "prod"}, nil, "/v1/token?env=prod&user=ana%20smith%40x"},
		{[]string{"-f=json", "-min-valid", "300"}, nil, "/v1/token?min_valid=300&format=json"},
		{[]string{"a b&env=prod#%\r\nX: y/ü"}, nil, "/v1/token?env=a%20b%26env%3Dprod%23%25%0D%0AX%3A%20y%2F%C3%BC"},
	}
	for _, test := range tests {
		agent := wellBehaved(t)
		answer := answerTo("GET " + test.target)
		if strings.HasSuffix(test.target, "format=curl") {
			answer += allowed
		}
		run(t, environ(test.env...), append(test.args, "-socket", agent.path)...).wantSuccess(t, answer)
		want := "GET " + test.target + " HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n\r\n"
		if got := agent.received(); len(got) != 1 || got[0] != want {
			t.Errorf("%q: sent %q, want %q", test.args, got, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	const line = "prod: not signed in; run: kyc-agentd login prod"
	codes := map[string]int{
		"400 Bad Request": 64, "401 Unauthorized": 77, "403 Forbidden": 77, "404 Not Found": 78,
		"422 Unprocessable Entity": 78, "423 Locked": 77, "429 Too Many Requests": 75,
		"500 Internal Server Error": 70, "503 Service Unavailable": 75,
		"204 No Content": 70, "302 Found": 70, "431 Request Header Fields Too Large": 70, "999 ": 70,
	}
	for status, exit := range codes {
		t.Run(status, func(t *testing.T) {
			agent := agentAnswering(t, httpAnswer(status, line+"\n"))
			run(t, nil, "-socket", agent.path).wantFailure(t, exit, "", "kyc-token: "+line+"\n")
			run(t, nil, "-socket", agent.path, "-f", "curl").wantFailure(t, exit, failClosed, line)
			run(t, nil, "-socket", agent.path, "-f", "json").wantFailure(t, exit, "", line)
		})
	}
}

// An agent that is older than this program does not know all that this asks for, and cannot say
// what to do about that.
func TestOlderAgent(t *testing.T) {
	const next = "; that agent is older than kyc-token: upgrade kyc-agentd, then run: " + restartCommand + "\n"
	for _, test := range []struct {
		args   []string
		status string
		exit   int
		line   string
		is     string
	}{
		{[]string{"-user", "ana"}, "400 Bad Request", exitUsage, `unknown query parameter "user"; known: env, format, min_valid`, next},
		{[]string{"-t", "access"}, "400 Bad Request", exitUsage, `unknown query parameter "type"; known: env, format, min_valid; this agent is v0.9`, next},
		{[]string{"prod"}, "404 Not Found", exitConfig, "no such path: \"/v1/helper/bazel\"; this agent speaks /v1", next},
		{[]string{"prod"}, "405 Method Not Allowed", exitInternal, "method POST does not work on /v1/helper/bazel; use GET", next},
		{[]string{"-user", "ana"}, "400 Bad Request", exitUsage, `unknown query parameter "user"; this agent is v0.9, and another version is installed; run: systemctl --user restart kyc-agentd.service`, "\n"},
		{[]string{"-f", "jsno"}, "400 Bad Request", exitUsage, `unknown format "jsno"; known: curl, json`, "\n"},
	} {
		agent := agentAnswering(t, httpAnswer(test.status, test.line+"\n"))
		run(t, nil, append([]string{"-socket", agent.path}, test.args...)...).wantFailure(t, test.exit, "", "kyc-token: "+test.line+test.is)
	}
}

func TestErrorWithoutLength(t *testing.T) {
	agent := agentAnswering(t, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\nCognito is down\nsecond line")
	run(t, nil, "-socket", agent.path).wantFailure(t, exitTemporary, "", "kyc-token: Cognito is down\n")
}

func TestErrorWithoutReason(t *testing.T) {
	for _, body := range []string{"", "\n", "\r\n"} {
		agent := agentAnswering(t, httpAnswer("503 Service Unavailable", body))
		run(t, nil, "-socket", agent.path).wantFailure(t, exitTemporary, "", "503", "kyc-agentd status")
	}
}

func TestErrorCannotSteerTheTerminal(t *testing.T) {
	agent := agentAnswering(t, httpAnswer("401 Unauthorized", "\x1b]0;owned\a\x1b[2Jprod\u202e\u009b\x80: not signed in\r\nkyc-token: forged\n"))
	run(t, nil, "-socket", agent.path).
		wantFailure(t, exitDenied, "", "kyc-token: ?]0;owned??[2Jprod???: not signed in\n")
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	big := strings.Repeat("x", maxAnswer)
	tests := []struct {
		name, raw string
		exit      int
		words     string
	}{
		{"nothing", "", 75, "incomplete"},
		{"half a status line", "HTTP/1", 75, "incomplete"},
		{"half a header", "HTTP/1.0 200 OK\r\nContent-Length: 30\r\n", 75, "incomplete"},
		{"half a body", ok(tokenLine)[:len(ok(tokenLine))-1], 75, "incomplete"},
		{"half an error", httpAnswer("401 Unauthorized", "prod: not signed in")[:70], 75, "incomplete"},
		{"no newline", ok("eyJ"), 75, "incomplete"},
		{"no length", "HTTP/1.0 200 OK\r\n\r\n" + tokenLine, 70, "not kyc-agentd's"},
		{"empty", ok(""), 70, "empty"},
		{"longer than its length", ok(tokenLine) + "x", 70, "not kyc-agentd's"},
		{"negative length", "HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n" + tokenLine, 70, "not kyc-agentd's"},
		{"signed length", "HTTP/1.0 200 OK\r\nContent-Length: +1\r\n\r\n\n", 70, "not kyc-agentd's"},
		{"two lengths", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n\n", 70, "not kyc-agentd's"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n", 70, "not kyc-agentd's"},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", 70, "not kyc-agentd's"},
		{"a later HTTP", "HTTP/2 200\r\n\r\n", 70, "not kyc-agentd's"},
		{"no status", "HTTP/1.0\r\n\r\n", 70, "not kyc-agentd's"},
		{"a status of letters", "HTTP/1.0 abc\r\n\r\n", 70, "not kyc-agentd's"},
		{"a short status", "HTTP/1.0 20 OK\r\n\r\n", 70, "not kyc-agentd's"},
		{"1 MiB of header", "HTTP/1.0 200 OK\r\nX: " + big, 70, "larger than 1 MiB"},
		{"1 MiB of body", ok(big + "\n"), 70, "larger than 1 MiB"},
		{"a huge length", "HTTP/1.0 200 OK\r\nContent-Length: 2000000000\r\n\r\n", 70, "larger than 1 MiB"},
		{"an endless error", "HTTP/1.0 500 Oops\r\n\r\n" + big, 70, "larger than 1 MiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			agent := agentAnswering(t, test.raw)
			run(t, nil, "-socket", agent.path).wantFailure(t, test.exit, "", test.words, agent.path)
			run(t, nil, "-socket", agent.path, "-f=curl").wantFailure(t, test.exit, failClosed, test.words)
		})
	}
}

func TestAgentDiesBeforeItReads(t *testing.T) {
	f := &fakeAgent{path: filepath.Join(t.TempDir(), "agent.sock")}
	ln, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	// Closing with the request unread makes the kernel reset the connection.
	f.serve(t, ln, func(net.Conn) {})
	for range 50 {
		run(t, nil, "-socket", f.path).wantFailure(t, exitTemporary, "", "incomplete")
	}
}

func TestAnswerOfAnAgentThatDoesNotRead(t *testing.T) {
	f := &fakeAgent{path: filepath.Join(t.TempDir(), "agent.sock")}
	ln, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.serve(t, ln, func(c net.Conn) { _, _ = io.WriteString(c, httpAnswer("403 Forbidden", "not yours\n")) })
	for range 50 {
		run(t, nil, "-socket", f.path).wantFailure(t, exitDenied, "", "not yours")
	}
}

func TestDeadline(t *testing.T) {
	tests := map[string]func(c net.Conn, over <-chan struct{}){
		"no answer": func(_ net.Conn, over <-chan struct{}) { <-over },
		"stalls half-way": func(c net.Conn, over <-chan struct{}) {
			_, _ = io.WriteString(c, ok(tokenLine)[:60])
			<-over
		},
		"drips": func(c net.Conn, over <-chan struct{}) {
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n")
			for tick := time.Tick(5 * time.Millisecond); ; <-tick {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		},
	}
	for name, handle := range tests {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			agent := newFakeAgent(t, func(c net.Conn) { handle(c, over) })
			defer close(over)
			start := time.Now()
			run(t, within(100*time.Millisecond), "-socket", agent.path, "-f", "curl").
				wantFailure(t, exitTemporary, failClosed, "did not answer in time", agent.path)
			if took := time.Since(start); took < 100*time.Millisecond || took > limit/2 {
				t.Errorf("gave up after %v", took)
			}
		})
	}
}

// To the kernel a timeout of 0 would mean no timeout.
func TestDeadlineHasPassed(t *testing.T) {
	over := make(chan struct{})
	agent := newFakeAgent(t, func(net.Conn) { <-over })
	defer close(over)
	for _, d := range []time.Duration{-time.Second, 0, 1} {
		run(t, within(d), "-socket", agent.path).wantFailure(t, exitTemporary, "", "in time")
	}
}

func TestBacklogStaysFull(t *testing.T) {
	path, _ := listenRaw(t, 0)
	filler, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	run(t, within(100*time.Millisecond), "-socket", path).
		wantFailure(t, exitTemporary, "", "accepted no connection in time", path)
}

// listenRaw makes a listening socket with a backlog of n, which package net cannot do.
func listenRaw(t *testing.T, n int) (path string, fd int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "agent.sock")
	fd, err := newSocket()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, n); err != nil {
		t.Fatal(err)
	}
	return path, fd
}

func TestNoAgent(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stale, fd := listenRaw(t, 1)
	if err := syscall.Close(fd); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"no file":        filepath.Join(dir, "agent.sock"),
		"no folder":      filepath.Join(dir, "kyc-agentd", "agent.sock"),
		"a file as such": filepath.Join(file, "agent.sock"),
		"stale":          stale,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, "-socket", path).
				wantFailure(t, exitUnavailable, "", "no agent answers on "+path, "; run: kyc-agentd serve --socket "+path)
			run(t, environ("KYC_AGENT_SOCK", path)).
				wantFailure(t, exitUnavailable, "", "no agent answers on "+path, "; run: kyc-agentd serve, or unset KYC_AGENT_SOCK")
			run(t, nil, "-socket", path, "-f", "curl").wantFailure(t, exitUnavailable, failClosed)
		})
	}
}

// What is named as the agent's socket, and is none, is called what it is.
func TestMisnamedSocket(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(dir+"/gone", dangling); err != nil {
		t.Fatal(err)
	}
	for path, what := range map[string]string{
		dir:                           "is a folder; " + dir + "/agent.sock is meant",
		dir + "/":                     "is a folder; " + dir + "/agent.sock is meant",
		file:                          "is a file, not a socket",
		pipe:                          "is a pipe, not a socket",
		os.DevNull:                    "is a device, not a socket",
		dangling:                      "is a symbolic link to nothing",
		loop(t, dir):                  "is a symbolic link that leads to itself",
		"~/x":                         "begins with ~, which is not replaced here",
		"$XDG_RUNTIME_DIR/agent.sock": "begins with $, which",
		"%t/kyc-agentd/agent.sock":    "begins with %, which",
		"unix:///run/x/agent.sock":    "is a URL, and a path is needed",
		"kyc-agentd/agent.sock":       "is a relative path",
	} {
		run(t, environ("KYC_AGENT_SOCK", path)).wantFailure(t, exitUnavailable, "", path+" "+what, "; check -socket and KYC_AGENT_SOCK")
		run(t, nil, "-socket", path, "-f", "curl").wantFailure(t, exitUnavailable, failClosed, what)
	}
}

// Another program's socket is named as such, whatever that program does with a request.
func TestSocketOfAnotherProgram(t *testing.T) {
	dir := testsocket.ShortDir(t)
	ssh := testpeer.Program(t, "ssh-agent", "openssh-client")
	path := filepath.Join(dir, "ssh")
	cmd := exec.CommandContext(t.Context(), ssh, "-D", "-a", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil { // it listens by then
		t.Fatal(err)
	}
	run(t, environ("KYC_AGENT_SOCK", path), "-f", "curl").
		wantFailure(t, exitConfig, failClosed, path+" is not kyc-agentd's socket: ssh-agent answers there; check -socket and KYC_AGENT_SOCK")
}

// If the process has no file descriptor left, the message does not blame the agent.
func TestNoFileDescriptorLeft(t *testing.T) {
	agent := agentAnswering(t, ok(tokenLine))
	for limit, want := range map[string]int{"3": exitTemporary, "64": exitOK} { // stdin, stdout and stderr are three
		cmd := program(t, "-socket", agent.path)
		cmd.Path, cmd.Args = testpeer.Program(t, "sh", "dash"), append([]string{"sh", "-c", `ulimit -n "$0" && exec "$@"`, limit}, cmd.Args...)
		if got := finish(t, cmd); want == exitOK {
			got.wantSuccess(t, tokenLine)
		} else {
			got.wantFailure(t, want, "", "cannot make a socket: too many open files; ", "ulimit -n")
		}
	}
}

func loop(t *testing.T, dir string) string {
	path := filepath.Join(dir, "loop")
	if err := os.Symlink(path, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestForeignAgent(t *testing.T) {
	agent := newFakeAgent(t, func(net.Conn) { t.Error("it got a request") })
	foreign := func(p *process) { p.uid++ }
	run(t, foreign, "-socket", agent.path, "-f", "curl").
		wantFailure(t, exitDenied, failClosed, agent.path+" is the agent of user id ", "check -socket")
	if got := agent.received(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

func TestUsageErrors(t *testing.T) {
	tests := []struct {
		args  []string
		words string
	}{
		{[]string{"-x"}, "no such flag: -x"},
		{[]string{"--x=y"}, "no such flag: --x=y"},
		{[]string{"-f"}, "-f needs a value"},
		{[]string{"-f="}, "-f needs a value"},
		{[]string{"-f", ""}, "-f needs a value"},
		{[]string{"-min-valid="}, "-min-valid needs a value"},
		{[]string{"-user", ""}, "-user needs a value"}, // an unset variable selects nobody
		{[]string{"-socket"}, "-socket needs a value"},
		{[]string{"-min-valid", "-socket=/x"}, "-min-valid needs a value"},
		{[]string{"-h=1"}, "-h takes no value"},
		{[]string{"-version=x"}, "-version takes no value"},
		{[]string{"staging", "prod"}, "not both staging and prod"},
		{[]string{"--", "staging", "prod"}, "not both staging and prod"},
		{[]string{""}, "ENVIRONMENT argument is empty"},
		{[]string{"-x", "-y"}, "no such flag: -x"},
		{[]string{"\x1b[2J", "\x1b"}, "?[2J and ?"},
		{[]string{strings.Repeat("x", 5000)}, "too long"},
	}
	for _, test := range tests {
		run(t, nil, test.args...).wantFailure(t, exitUsage, "", test.words, "run: kyc-token -h")
		args := append([]string{"--f=curl"}, test.args...)
		if test.args[0] != "-f=" && test.args[0] != "-f" {
			run(t, nil, args...).wantFailure(t, exitUsage, failClosed, test.words)
		}
	}
	run(t, nil, "-x", "staging", "prod", "-f", "curl").wantFailure(t, exitUsage, failClosed, "-x")
	run(t, nil, "-fcurl", "-e", "prod", "staging").wantFailure(t, exitUsage, failClosed, "one environment at a time; run: kyc-token -h")
	run(t, nil, "-fjsno", "-fcurl").wantFailure(t, exitUsage, failClosed, "no such flag: -fjsno")
	run(t, nil, "-e", "", "-fcurl").wantFailure(t, exitUsage, failClosed, "-e needs a value")
	run(t, nil, "-min-valid", "-f", "curl", "prod").wantFailure(t, exitUsage, failClosed, "-min-valid needs a value")
}

func TestHelpAndVersion(t *testing.T) {
	for _, arg := range []string{"-h", "-help", "--help", "--h"} {
		run(t, nil, arg).wantSuccess(t, usage)
	}
	run(t, nil, "-version").wantSuccess(t, "kyc-token (devel)\n")
	run(t, nil, "-v").wantSuccess(t, "kyc-token (devel)\n")
	run(t, nil, "--version").wantSuccess(t, "kyc-token (devel)\n")
}

func TestUsageNamesEverything(t *testing.T) {
	var o options
	for _, word := range strings.FieldsFunc(usage, func(r rune) bool { return strings.ContainsRune(" ,[]=\n", r) }) {
		if name, isFlag := strings.CutPrefix(word, "-"); isFlag && !slices.Contains([]string{"-json", "-proto", "all", "K", "r", "-", "-:"}, name) {
			if o.boolFlag(name) == nil && o.stringFlag(name) == nil {
				t.Errorf("usage names %s, which is not a flag", word)
			}
		}
	}
	for _, word := range []string{
		"-f, -format FORMAT", "-t, -type TYPE", "-min-valid DURATION", "-user NAME", "-socket PATH", "-v, -version", "-h, -help", " claims", "-e ENVIRONMENT",
		"KYC_ENV", "KYC_AGENT_SOCK", "XDG_RUNTIME_DIR", " token (default), header, curl, json, env, k8s or google", "get", "exec", "git-credential-kyc", "terraform-credentials-kyc", "goauth-kyc", "126 ", "127 ",
		"0 done", "64 ", "69 ", "70 ", "75 ", "77 ", "78 ",
	} {
		if !strings.Contains(usage, word) {
			t.Errorf("usage lacks %q", word)
		}
	}
	for line := range strings.Lines(usage) {
		if len(line) > 81 {
			t.Errorf("wider than 80: %s", line)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestStdoutFails(t *testing.T) {
	agent := agentAnswering(t, ok(tokenLine))
	full := func(p *process) { p.stdout = broken{} }
	run(t, full, "-socket", agent.path).
		wantFailure(t, exitInternal, "", "stdout: no space left on device")
	run(t, full, "-h").wantFailure(t, exitInternal, "", "stdout: no space left on device")
}

func TestPanicFailsClosed(t *testing.T) {
	bug := func(p *process) { p.getenv = func(string) string { panic(errors.New("secret")) } }
	o := run(t, bug, "-f", "curl")
	o.wantFailure(t, exitInternal, failClosed, "bug", "run: ")
	if strings.Contains(o.stderr, "secret") {
		t.Errorf("the panic's value is shown: %s", o.stderr)
	}
}
