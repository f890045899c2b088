package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// foul is text that a terminal obeys: it sets the title, clears the screen, and forges a line.
const foul = "\x1b]0;OWNED\a\x1b[2J\u009b2J\u202e\nkyc-agentd: forged\r"

// hostileAnswers are what another program than the agent sends to every request, by name: a
// status line and a body.
func hostileAnswers() map[string][2]string {
	quoted, _ := json.Marshal(foul)
	f := string(quoted)
	environment := `{"name":"staging","api_url":` + f + `,"allowed_hosts":[` + f + `],"endpoints":{"endpoint":` + f + `,` + f + `:` + f + `},"state":` + f + `,"user":` + f +
		`,"warning":` + f + `,"last_error":` + f + `,"aws_last_error":` + f + `,"degraded":true,"last_error_at":"2026-01-02T03:04:05Z"}`
	status := func(environments string) string {
		return `{"version":` + f + `,"default_environment":"staging","store":{"kind":` + f + `,"detail":` + f + `,"advice":` + f + `},"network":{"proxy":` + f + `},
			"sinks":[{"path":` + f + `,"environment":` + f + `,"format":` + f + `,"error":` + f + `}],"environments":[` + environments + `]}`
	}
	foulName := strings.Replace(environment, `"staging"`, f, 1)
	return map[string][2]string{
		"foul texts":           {"200 OK\r\nContent-Type: application/json", status(environment)},
		"a foul name":          {"200 OK\r\nContent-Type: application/json", status(environment + "," + foulName)},
		"a command for a name": {"200 OK\r\nContent-Type: application/json", status(`{"name":"$(touch PWNED)"},{"name":"staging"}`)},
		"foul default":         {"200 OK\r\nContent-Type: application/json", strings.Replace(status(environment), `"staging"`, f, 1)},
		"problem": {"403 Forbidden\r\nKyc-Error: denied\r\nContent-Type: application/problem+json",
			`{"code":"denied","detail":` + f + `,"hint":` + f + `,"environment":` + f + `}`},
		"problem of a foul code": {"403 Forbidden\r\nContent-Type: application/problem+json", `{"code":` + f + `,"detail":"x"}`},
		"plain text":             {"500 Internal Server Error\r\nContent-Type: text/plain", foul},
		"foul status":            {"500 \x1b]0;OWNED\a\x1b[2J\r\nContent-Type: text/plain", "x\n"},
		"foul header":            {"200 OK\r\nKyc-Warning: \x1b[2J\u202e\r\nKyc-Version: \x1b[2J\r\nContent-Type: application/json", status(environment)},
		"challenge": {"200 OK\r\nContent-Type: application/json",
			`{"state":"challenge","id":"1","challenge":{"environment":` + f + `,"name":` + f + `,"prompt":` + f + `,"problem":` + f + `,"inputs":[{"name":` + f + `,"label":` + f + `}]},"environments":[` + environment + `]}`},
		"not HTTP": {"", foul},
	}
}

// answerAll answers every request on path with answer. A status is answered well first, if
// the verb asks for it before it does what it is for.
func answerAll(t *testing.T, path string, answer [2]string, wellStatus bool) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	reply := func(c net.Conn) {
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		head, body := answer[0], answer[1]
		if wellStatus && r.URL.Path == "/v1/status" {
			head, body = "200 OK\r\nContent-Type: application/json", `{"version":"test","default_environment":"staging","environments":[{"name":"staging","state":"absent"}]}`
		}
		if head == "" {
			_, _ = io.WriteString(c, body)
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", head, len(body), body)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go reply(c)
		}
	}()
}

// hostileVerbs are the verbs that ask an agent, with what they read.
var hostileVerbs = []struct {
	stdin string
	args  []string
}{
	{"", []string{"status"}},
	{"", []string{"status", "--json"}},
	{"correct horse\n", []string{"login", "-u", "ana", "--password-stdin"}},
	{"correct horse\n", []string{"login", "-u", "ana", "--password-stdin", "staging"}},
	{"sk_1\n", []string{"login", "--api-key-stdin", "staging"}},
	{"", []string{"logout"}},
	{"", []string{"logout", "--all-devices", "staging"}},
	{"", []string{"password", "reset", "-u", "ana"}},
	{"", []string{"confirm", "-u", "ana"}},
	{"", []string{"reload"}},
	{"", []string{"doctor", "--offline"}},
	{"", []string{"doctor", "--offline", "--json"}},
	{"", []string{"env", "--sh"}},
	{"", []string{"log"}},
	{"", []string{"__complete", "login", ""}},
	{"", []string{"__completeNoDesc", "logout", ""}},
	{"", []string{"api", "GET", "/kyc"}}, // the answer's body is the API's, and is not looked at
}

// TestHostileAgentdVerbs runs the real program against something that answers in the agent's
// place: nothing of what it sends reaches stdout or stderr as a control character.
func TestHostileAgentdVerbs(t *testing.T) {
	h := newFixture(t)
	// Another binary, of an older version, shows what the table found.
	program := os.Getenv("KYC_TEST_AGENTD_BINARY")
	if program == "" {
		program = testpeer.Build(t, "kyc-agentd")
	}
	total, wrong := 0, 0
	for name, answer := range hostileAnswers() {
		for _, wellStatus := range []bool{false, true} {
			if err := os.RemoveAll(filepath.Dir(h.socket())); err != nil {
				t.Fatal(err)
			}
			answerAll(t, h.socket(), answer, wellStatus)
			for _, verb := range hostileVerbs {
				cmd := exec.Command(program, verb.args...)
				cmd.Dir = h.dir
				got := h.run(verb.stdin, cmd)
				shown := got.errOut
				if verb.args[0] != "api" {
					shown += got.out
				}
				total++
				if bad := obeyed(shown); bad != "" {
					wrong++
					t.Errorf("%s (well status: %t): %q prints %s: %q", name, wellStatus, verb.args, bad, shown)
				}
			}
		}
	}
	t.Logf("%d of %d answers were printed as they came", wrong, total)
	if _, err := os.Stat(filepath.Join(h.dir, "PWNED")); err == nil {
		t.Error("a name was executed")
	}
}

// obeyed returns what a terminal or a shell would obey in text, or "".
func obeyed(text string) string {
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return fmt.Sprintf("%U", r)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "kyc-agentd: forged") {
			return "a forged line"
		}
		if strings.HasPrefix(line, "$(") {
			return "a command for a name"
		}
	}
	return ""
}

// TestHostileChallenge: a question at the terminal is text as well.
func TestHostileChallenge(t *testing.T) {
	h := newFixture(t)
	answerAll(t, h.socket(), hostileAnswers()["challenge"], true)
	p := terminaltest.New(t)
	r := h.sessionOn(p, kycAgentd("login", "-u", "ana"))
	p.Sees("Password for ana at staging? ")
	p.Types("correct horse\n")
	p.Sees("?]0;OWNED??[2J?2J? kyc-agentd: forged")
	_ = r.Process.Kill()
	h.ended(r)
	if bad := obeyed(strings.ReplaceAll(p.Seen(), "\r\n", "\n")); bad != "" {
		t.Errorf("%s in %q", bad, p.Seen())
	}
}
