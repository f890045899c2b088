package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/internal/sanitize/sanitizetest"
)

// FuzzAnswer: an answer that was cut off anywhere is never taken for a complete one.
func FuzzAnswer(f *testing.F) {
	f.Add(ok(tokenLine), uint(10))
	f.Add(httpAnswer("401 Unauthorized", "prod: not signed in\n"), uint(3))
	f.Add("HTTP/1.1 200 OK\r\ncontent-length:\t2 \r\nContent-Length: 2\r\n\r\nx\n", uint(1))
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n", uint(0))
	f.Fuzz(func(t *testing.T, raw string, cut uint) {
		a, err := parseAnswer(raw, true)
		if err != nil {
			return
		}
		text, err := a.result(false)
		if err != nil {
			if exit := asFailure(err).exit; exit == exitOK {
				t.Errorf("a failure with exit code 0: %v", err)
			}
			return
		}
		if !strings.HasSuffix(raw, text) || !strings.HasSuffix(text, "\n") {
			t.Errorf("%q gives %q", raw, text)
		}
		if early, err := parseAnswer(raw, false); err != nil || early != a {
			t.Errorf("without its end %q gives %v, %v", raw, early, err)
		}
		part := raw[:cut%uint(len(raw))]
		if a, err := parseAnswer(part, true); err == nil {
			if text, err := a.result(false); err == nil {
				t.Errorf("the part %q gives %q", part, text)
			}
		}
	})
}

// FuzzArguments: the agent gets the values of the arguments unchanged, and -f curl is
// found even if there is an error elsewhere.
func FuzzArguments(f *testing.F) {
	f.Add("-f\x00curl\x00prod")
	f.Add("--user=a&b\r\n\x00prod")
	f.Add("--min-valid=5m\x00a b&env=x\r\n\r\nGET / HTTP/1.0\x00--\x00-x")
	f.Add("-x\x00\x00-socket\x00--\x00")
	f.Add("get\x00prod")
	f.Add("-f\x00k8s\x00exec\x00prod\x00--\x00true")
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		o, err := parse(modeToken, args)
		others := slices.DeleteFunc(slices.Clone(args), isFormat)
		if first, _ := parse(modeToken, append([]string{"-f", "curl"}, others...)); first.format != "curl" {
			t.Errorf("%q: -f curl at the start is not found", args)
		}
		if last, _ := parse(modeToken, append(others, "-f", "curl")); last.format != "curl" && !slices.Contains(others, "--") {
			t.Errorf("%q: -f curl at the end is not found", args)
		}
		if err != nil {
			return
		}
		raw, err := o.request("a\x00\r\n\r\nb")
		if err != nil {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		body, _ := io.ReadAll(req.Body)
		q := req.URL.Query()
		same := q.Get("env") == o.environment && q.Get("min_valid") == o.minValid && q.Get("user") == o.user && q.Get("operation") == o.operation &&
			req.Host == "kyc-agent" && req.Header.Get("Accept") == "text/plain"
		if protocol := o.protocol("x"); protocol == "" {
			same = same && q.Get("format") == o.format && req.URL.Path == "/v1/token" && len(req.Header) == 1
		} else {
			same = same && req.URL.Path == "/v1/helper/"+protocol && string(body) == "a\x00\r\n\r\nb"
		}
		if !same {
			t.Errorf("%+v reads back as %v, %q", o, req, body)
		}
	})
}

// FuzzFailClosed: for every answer of the agent and every tool, stdout has the complete
// output or, after a failure, only what stops the tool.
func FuzzFailClosed(f *testing.F) {
	f.Add(ok(tokenLine), uint8(0))
	f.Add(ok("KYC_TOKEN=x\n"), uint8(8))
	f.Add(httpAnswer("401 Unauthorized", "prod: not signed in\n"), uint8(3))
	f.Add("HTTP/1.0 204 No Content\r\n\r\n", uint8(4))
	f.Add(ok(tokenLine)[:70], uint8(7))
	f.Add("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", uint8(8))
	var raw atomic.Pointer[string]
	agent := newFakeAgent(f, func(c net.Conn) { _, _ = io.WriteString(c, *raw.Load()) })
	calls := []struct {
		name string
		args []string
	}{
		{"kyc-token", nil}, {"kyc-token", []string{"-f", "k8s"}}, {"kyc-token", []string{"-f", "curl"}}, {"kyc-token", []string{"-f", "google"}},
		{git, []string{"get"}}, {terraform, []string{"get", "x"}}, {goauth, nil}, {"kyc-token", []string{"get"}}, {"kyc-token", []string{"exec", "--", "x"}},
	}
	f.Fuzz(func(t *testing.T, answer string, which uint8) {
		raw.Store(&answer)
		call := calls[int(which)%len(calls)]
		started := false
		o := run(t, func(p *process) {
			p.name, p.stdin = call.name, strings.NewReader("host=x\n")
			p.exec = func(string, []string, []string) error { started = true; return syscall.ENOEXEC }
		}, append([]string{"-socket", agent.path}, call.args...)...)
		_, body, whole := strings.Cut(answer, "\r\n\r\n")
		switch {
		case started && o.exit == exitNotExecutable && o.stdout == "" && whole && strings.HasSuffix(body, "\n") && strings.Contains(body, "="):
		case started:
			t.Errorf("%q starts a program, %+v", answer, o)
		case o.exit == exitOK && (!whole || o.stdout != body):
			t.Errorf("%q gives %+v", answer, o)
		case o.exit == exitOK && o.stdout == "" && call.name != git && call.name != goauth:
			t.Errorf("%q gives no output and no failure", answer)
		case o.exit == exitOK || o.stdout == "":
		case slices.Contains(call.args, "curl") && o.stdout == failClosed:
		case slices.Contains(call.args, "google") && strings.HasPrefix(o.stdout, `{"version":1,"success":false,`):
		case call.name == git && o.stdout == "quit=1\n":
		default:
			t.Errorf("after a failure %q gives %+v", answer, o)
		}
	})
}

func isFormat(arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return name == "f" || name == "format"
}

func TestOneLine(t *testing.T) { sanitizetest.OneLine(t, oneLine) }

// FuzzClean: the output never contains a control character, and it is that of
// internal/sanitize.
func FuzzClean(f *testing.F) {
	f.Add("\x1b[2J\xff\u202e\nx")
	f.Add(strings.Repeat("ü", 2000))
	f.Fuzz(func(t *testing.T, text string) {
		out := clean(text)
		if !utf8.ValidString(out) || len(out) > maxLine+utf8.UTFMax || strings.ContainsFunc(out, unicode.IsControl) {
			t.Errorf("%q gives %q", text, out)
		}
		if want := sanitize.OneLine(text); oneLine(text) != want {
			t.Errorf("%q gives %q, want %q", text, oneLine(text), want)
		}
	})
}
