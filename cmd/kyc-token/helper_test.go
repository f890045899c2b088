package main

import (
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"strings"
	"testing"
	"time"
)

// withStdin sets stdin.
func withStdin(text string) func(*process) {
	return func(p *process) { p.stdin = strings.NewReader(text) }
}

// withName sets the program's name and stdin.
func withName(name, text string) func(*process) {
	return func(p *process) { p.name, p.stdin = "/usr/bin/"+name, strings.NewReader(text) }
}

const (
	git       = "git-credential-kyc"
	terraform = "terraform-credentials-kyc"
	goauth    = "goauth-kyc"
)

func TestHelperOnTheWire(t *testing.T) {
	const info = `{"kind":"ExecCredential"}`
	withInfo := environ("KUBERNETES_EXEC_INFO", info, "KYC_ENV", "staging")
	for _, test := range []struct {
		name         string
		change       func(*process)
		args         []string
		target, body string
	}{
		{"get", withStdin(`{"uri":"x"}` + "\n"), []string{"get"}, "/v1/helper/bazel", `{"uri":"x"}` + "\n"},
		{"get, no newline", withStdin(`{"uri":"x"}`), []string{"get", "prod"}, "/v1/helper/bazel?env=prod", `{"uri":"x"}`},
		{"get, NUL", withStdin("\x00"), []string{"get"}, "/v1/helper/bazel", "\x00"},
		{"get of a user", withStdin("x"), []string{"get", "-user=ana"}, "/v1/helper/bazel?user=ana", "x"},
		{"get of a life", withStdin("x"), []string{"-min-valid", "5m", "get"}, "/v1/helper/bazel?min_valid=5m", "x"},
		{"get is not KYC_ENV's", both(environ("KYC_ENV", "prod"), withStdin("x")), []string{"get"}, "/v1/helper/bazel", "x"},
		{"an environment get", nil, []string{"--", "get"}, "", ""},
		{"get of an environment get", withStdin("x"), []string{"get", "get"}, "/v1/helper/bazel?env=get", "x"},

		{"git", withName(git, "host=x\n\nmore"), []string{"get"}, "/v1/helper/git?operation=get", "host=x\n\nmore"},
		{"git, an environment", withName(git, "host=x\n"), []string{"prod", "get"}, "/v1/helper/git?env=prod&operation=get", "host=x\n"},
		{"git, no newline", withName(git, "host=x"), []string{"get"}, "/v1/helper/git?operation=get", "host=x"},
		{"git capability", func(p *process) { p.name = git }, []string{"capability"}, "/v1/helper/git?operation=capability", ""},

		{"terraform", func(p *process) { p.name = terraform }, []string{"get", "x.example"}, "/v1/helper/terraform?operation=get", "x.example"},
		{"terraform, an environment", func(p *process) { p.name = terraform }, []string{"prod", "get", "x.example"}, "/v1/helper/terraform?env=prod&operation=get", "x.example"},

		{"goauth", func(p *process) { p.name = goauth }, nil, "/v1/helper/goauth", ""},
		{"goauth, KYC_ENV", both(environ("KYC_ENV", "prod"), func(p *process) { p.name = goauth }), nil, "/v1/helper/goauth?env=prod", ""},
		{"goauth, an environment", func(p *process) { p.name = goauth }, []string{"prod"}, "/v1/helper/goauth?env=prod", ""},
		{"goauth, a URL", both(environ("KYC_ENV", "prod"), withName(goauth, "HTTP/1.1 401 Unauthorized\n\n")), []string{"https://x/y"}, "/v1/helper/goauth", "https://x/y"},
		{"goauth, both", withName(goauth, ""), []string{"prod", "https://x/y"}, "/v1/helper/goauth?env=prod", "https://x/y"},

		{"k8s", withInfo, []string{"-f", "k8s", "prod"}, "/v1/helper/k8s?env=prod", info},
		{"k8s, KYC_ENV", withInfo, []string{"-f", "k8s"}, "/v1/helper/k8s?env=staging", info},
		{"k8s by hand", nil, []string{"-f", "k8s"}, "", ""},
		{"another format", withInfo, []string{"-f", "json"}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			agent := wellBehaved(t)
			o := run(t, test.change, append([]string{"-socket", agent.path}, test.args...)...)
			got := strings.Join(agent.received(), "|")
			o.wantSuccess(t, answerTo(got))
			if test.target == "" {
				if !strings.HasPrefix(got, "GET /v1/token?") {
					t.Errorf("sent %q", got)
				}
				return
			}
			head, body, _ := strings.Cut(got, "\r\n\r\n")
			want := "POST " + test.target + " HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n" +
				"Content-Type: application/octet-stream\r\nContent-Length: "
			if !strings.HasPrefix(head, want) || body != test.body {
				t.Errorf("sent %q\nwant %q and %q", got, want, test.body)
			}
		})
	}
}

func both(one, other func(*process)) func(*process) {
	return func(p *process) { one(p); other(p) }
}

// An empty answer is valid in git's protocol and in Go's, and in no other.
func TestSilence(t *testing.T) {
	const none = "HTTP/1.0 204 No Content\r\nCache-Control: no-store\r\n\r\n"
	agent := agentAnswering(t, none)
	run(t, withName(git, "host=x\n"), "-socket", agent.path, "get").wantSuccess(t, "")
	run(t, withName(goauth, ""), "-socket", agent.path, "https://x.example").wantSuccess(t, "")
	run(t, nil, "-socket", agent.path).wantFailure(t, exitInternal, "", "204")
	run(t, withStdin("{}"), "-socket", agent.path, "get").wantFailure(t, exitInternal, "", "204")
	for cut := range len(none) {
		half := agentAnswering(t, none[:cut])
		run(t, withName(git, "host=x\n"), "-socket", half.path, "get").wantFailure(t, exitTemporary, "", "incomplete")
	}
	more := agentAnswering(t, none+"quit=1\n")
	run(t, withName(git, "host=x\n"), "-socket", more.path, "get").wantFailure(t, exitInternal, "", "not kyc-agentd's")
}

// Operations that kyc-token handles itself are not sent to the agent: git's `store`, for
// example, passes a password.
func TestHandledLocally(t *testing.T) {
	const secret = "protocol=https\npassword=hunter2\n"
	path := t.TempDir() + "/none"
	for _, operation := range []string{"store", "erase", "later"} {
		in := strings.NewReader(secret)
		run(t, func(p *process) { p.name, p.stdin = git, in }, "-socket", path, operation).wantSuccess(t, "")
		if in.Len() != 0 {
			t.Errorf("%s: %d bytes are left on stdin", operation, in.Len())
		}
		run(t, withName(git, strings.Repeat("x", 3<<20)), "-socket", path, "prod", operation).wantSuccess(t, "")
	}
	run(t, withName(terraform, `{"token":"hunter2"}`), "-socket", path, "store", "x.example").
		wantFailure(t, exitUsage, "", "terraform cannot store a token here", "run: kyc-agentd login")
	run(t, func(p *process) { p.name = terraform }, "-socket", path, "forget", "x.example").
		wantFailure(t, exitUsage, "", "terraform cannot forget a token here")
}

func TestHelperUsageErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		args  []string
		words string
	}{
		{git, nil, "git-credential-kyc is run by git"},
		{git, []string{"a", "b", "get"}, "not both a and b"},
		{git, []string{"", "get"}, "is empty"},
		{git, []string{"-f", "json", "get"}, "-f is only for printing a token"},
		{terraform, []string{"get"}, "terraform-credentials-kyc is run by Terraform"},
		{terraform, []string{"a", "b", "get", "x"}, "not both a and b"},
		{goauth, []string{"a", "b", "https://x"}, "not both a and b"},
		{goauth, []string{"https://x", "a"}, "not both https://x and a"},
		{"kyc-token", []string{"get", "a", "b"}, "not both a and b"},
		{"kyc-token", []string{"prod", "get"}, "not both prod and get"},
		{"kyc-token", []string{"get", "-f", "json"}, "-f is only for printing a token"},
		{"kyc-token", []string{"exec"}, "exec needs a command"},
		{"kyc-token", []string{"exec", "prod", "true"}, "exec needs a command"},
		{"kyc-token", []string{"exec", "prod", "--"}, "exec needs a command"},
		{"kyc-token", []string{"exec", "a", "b", "--", "true"}, "not both a and b"},
	} {
		run(t, func(p *process) { p.name = test.name }, test.args...).wantFailure(t, exitUsage, "", test.words, "run: kyc-token -h")
	}
}

// A stdin that cannot be a tool's question.
func TestOddStdin(t *testing.T) {
	agent := wellBehaved(t)
	for _, name := range []string{"kyc-token", git} {
		run(t, withName(name, strings.Repeat("a=b\n", maxInput/4)), "-socket", agent.path, "get").
			wantSuccess(t, questionOf(map[string]string{"kyc-token": "bazel", git: "git"}[name], false).answer)
		run(t, withName(name, strings.Repeat("a=b\n", 1<<18)), "-socket", agent.path, "get").wantFailure(t, exitUsage, "", "stdin has more than 64 KiB")
		run(t, func(p *process) { p.name, p.stdin = name, failingReader{} }, "-socket", agent.path, "get").
			wantFailure(t, exitUsage, "", "stdin: permission denied")
	}
	run(t, environ("KUBERNETES_EXEC_INFO", strings.Repeat("x", maxInput+1)), "-socket", agent.path, "-f", "k8s").
		wantFailure(t, exitUsage, "", "KUBERNETES_EXEC_INFO has more than 64 KiB", "provideClusterInfo")
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, fs.ErrPermission }

// A tool that keeps the pipe open gets an error, or an answer if its question is complete.
func TestStdinStaysOpen(t *testing.T) {
	agent := wellBehaved(t)
	open := func(name, text string) func(*process) {
		r, w := io.Pipe()
		t.Cleanup(func() { _ = w.Close() })
		go func() { _, _ = io.WriteString(w, text) }()
		return func(p *process) { p.name, p.stdin, p.limit = name, r, 100*time.Millisecond }
	}
	run(t, open("kyc-token", "{}"), "-socket", agent.path, "get").wantFailure(t, exitTemporary, "", "stdin did not end in time")
	run(t, open(git, "host=x\n"), "-socket", agent.path, "get").wantFailure(t, exitTemporary, "", "stdin did not end in time")
	run(t, func(p *process) { open(git, "host=x\n\n")(p); p.limit = 30 * time.Second }, "-socket", agent.path, "get").
		wantSuccess(t, questionOf("git", false).answer)
	run(t, open(git, "host=x\n"), "-socket", agent.path, "store").wantSuccess(t, "")
}

// After a failure nothing is on stdout, except what stops a reader that does not look at
// the exit code.
func TestHelpersFailClosed(t *testing.T) {
	const line = `prod: not "signed in"; run: kyc-agentd login prod`
	google := func(code, message string) string {
		text, _ := json.Marshal(message)
		return `{"version":1,"success":false,"code":"` + code + `","message":` + string(text) + "}\n"
	}
	denying := agentAnswering(t, httpAnswer("401 Unauthorized", line+"\n"))
	dies := agentAnswering(t, ok(tokenLine)[:60])
	gone := denying.path + "x"
	for _, test := range []struct {
		path        string
		exit        int
		words, code string
		git         string
	}{
		{denying.path, exitDenied, line, "401", "quit=1\n"},
		{dies.path, exitTemporary, "incomplete", "503", ""},
		{gone, exitUnavailable, "no agent answers", "503", ""},
	} {
		for _, verb := range []string{"get", "exec"} {
			args := []string{"-socket", test.path, verb}
			if verb == "exec" {
				args = append(args, "--", "true")
			}
			run(t, func(p *process) {
				p.stdin = strings.NewReader("{}")
				p.exec = func(string, []string, []string) error { t.Error("it started without a token"); return nil }
			}, args...).wantFailure(t, test.exit, "", test.words)
		}
		run(t, withName(git, "host=x\n"), "-socket", test.path, "get").wantFailure(t, test.exit, test.git, test.words)
		run(t, withName(terraform, ""), "-socket", test.path, "get", "x").wantFailure(t, test.exit, "", test.words)
		run(t, withName(goauth, ""), "-socket", test.path).wantFailure(t, test.exit, "", test.words)
		run(t, nil, "-socket", test.path, "-f", "k8s").wantFailure(t, test.exit, "", test.words)
		run(t, nil, "-socket", test.path, "-f", "env").wantFailure(t, test.exit, "", test.words)

		o := run(t, nil, "-socket", test.path, "-f", "google")
		message := strings.TrimSuffix(strings.TrimPrefix(o.stderr, "kyc-token: "), "\n")
		o.wantFailure(t, test.exit, google(test.code, message), test.words)
	}
	run(t, nil, "-f", "google", "-x").wantFailure(t, exitUsage, google("400", "no such flag: -x; run: kyc-token -h"), "-x")
	foul := agentAnswering(t, httpAnswer("500 Internal Server Error", "a\\b\x1b\"\xff\u202e\n"))
	run(t, nil, "-socket", foul.path, "-f", "google").wantFailure(t, exitInternal, google("500", `a\b?"??`), `a\b?"??`)
}

// The caller with the shortest timeout waits 5 seconds.
func TestHelperLimit(t *testing.T) {
	for _, o := range []options{{mode: modeGet}, {mode: modeGit}, {mode: modeTerraform}, {mode: modeGoauth}, {mode: modeExec}, {format: "k8s"}, {format: "google"}} {
		if got := o.timeout(limit); got != 5*time.Second {
			t.Errorf("%+v: %s", o, got)
		}
	}
	if got := (options{format: "curl"}).timeout(limit); got != limit {
		t.Errorf("a token: %s", got)
	}
	over := make(chan struct{})
	agent := newFakeAgent(t, func(net.Conn) { <-over })
	defer close(over)
	run(t, both(within(50*time.Millisecond), withStdin("{}")), "-socket", agent.path, "get").
		wantFailure(t, exitTemporary, "", "did not answer in time")
}

func TestHelperStdoutFails(t *testing.T) {
	agent := wellBehaved(t)
	for _, name := range []string{git, terraform, goauth} {
		run(t, func(p *process) { withName(name, "")(p); p.stdout = broken{} }, "-socket", agent.path, "get", "https://x").
			wantFailure(t, exitInternal, "", "stdout: no space left on device")
	}
	run(t, func(p *process) { p.stdin = strings.NewReader("{}"); p.stdout = broken{} }, "-socket", agent.path, "get").
		wantFailure(t, exitInternal, "", "stdout: no space left on device")
}
