package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/legaltalent/kyc-agent/agent"
)

const warning = "prod: the sign-in ends in 2d; run: kyc-agentd login prod"

// warning200 is an answer with a token and a warning.
func warning200(text string) string {
	return strings.Replace(ok(tokenLine), "\r\n", "\r\nkyc-WARNING:\t "+text+" \r\n", 1)
}

// onTerminal makes stderr a terminal.
func onTerminal(p *process) { p.stderrIsTerminal = func() bool { return true } }

func TestWarning(t *testing.T) {
	const shown = "kyc-token: warning: " + warning + "\n"
	for name, test := range map[string]struct {
		raw    string
		change func(*process)
		want   outcome
	}{
		"on a terminal":           {warning200(warning), onTerminal, outcome{0, tokenLine, shown}},
		"elsewhere":               {warning200(warning), nil, outcome{0, tokenLine, ""}},
		"none":                    {ok(tokenLine), onTerminal, outcome{0, tokenLine, ""}},
		"empty":                   {warning200(""), onTerminal, outcome{0, tokenLine, ""}},
		"with control characters": {warning200("\x1b[2Jends\u202e\x00 \r soon\xff"), onTerminal, outcome{0, tokenLine, "kyc-token: warning: ?[2Jends??   soon?\n"}},
		"that is too long":        {warning200(strings.Repeat("x", 5000)), onTerminal, outcome{0, tokenLine, "kyc-token: warning: " + strings.Repeat("x", maxLine) + "\n"}},
		"with an error": {
			strings.Replace(httpAnswer("401 Unauthorized", "prod: not signed in\n"), "\r\n", "\r\nKyc-Warning: "+warning+"\r\n", 1), onTerminal,
			outcome{exitDenied, "", "kyc-token: prod: not signed in\n"},
		},
		"with half an answer": {strings.TrimSuffix(warning200(warning), "ln\n"), onTerminal, outcome{}},
	} {
		t.Run(name, func(t *testing.T) {
			a := agentAnswering(t, test.raw)
			got := run(t, test.change, "-socket", a.path)
			if test.want == (outcome{}) {
				got.wantFailure(t, exitTemporary, "", "incomplete")
			} else if got != test.want {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestWarningComesLast(t *testing.T) {
	a := agentAnswering(t, warning200(warning))
	var both bytes.Buffer
	run(t, func(p *process) { onTerminal(p); p.stdout, p.stderr = &both, &both }, "-socket", a.path)
	if got, want := both.String(), tokenLine+"kyc-token: warning: "+warning+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	run(t, func(p *process) { onTerminal(p); p.stdout = broken{} }, "-socket", a.path).
		wantFailure(t, exitInternal, "", "stdout: no space left on device")
	if o := run(t, func(p *process) { onTerminal(p); p.stderr = broken{} }, "-socket", a.path); o != (outcome{0, tokenLine, ""}) {
		t.Errorf("with a terminal that was closed: %+v", o)
	}
}

// onPTY runs kyc-token with those of its descriptors 1 and 2 that are in which on a
// terminal and the others on a pipe. It returns the text of each and the exit code.
func onPTY(t *testing.T, which []int, args ...string) (shown, piped string, exit int) {
	t.Helper()
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	var pipe bytes.Buffer
	cmd := program(t, args...)
	cmd.Stdout, cmd.Stderr = &pipe, &pipe
	for _, fd := range which {
		*map[int]*io.Writer{1: &cmd.Stdout, 2: &cmd.Stderr}[fd] = tty
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	_ = screen.SetReadDeadline(time.Now().Add(30 * time.Second))
	all, _ := io.ReadAll(screen) // ends with an error when no process has the terminal open any more
	_ = cmd.Wait()
	return strings.ReplaceAll(string(all), "\r\n", "\n"), pipe.String(), cmd.ProcessState.ExitCode()
}

func TestWarningOnATerminal(t *testing.T) {
	a := agentAnswering(t, warning200(warning))
	const line = "kyc-token: warning: " + warning + "\n"
	for name, test := range map[string]struct {
		fds          []int
		shown, piped string
	}{
		"stderr": {[]int{2}, line, tokenLine},
		"both":   {[]int{1, 2}, tokenLine + line, ""},
		"stdout": {[]int{1}, tokenLine, ""},
	} {
		t.Run(name, func(t *testing.T) {
			shown, piped, exit := onPTY(t, test.fds, "-socket", a.path)
			if shown != test.shown || piped != test.piped || exit != 0 {
				t.Errorf("shown %q, piped %q, exit %d", shown, piped, exit)
			}
		})
	}
	finish(t, program(t, "-socket", a.path)).wantSuccess(t, tokenLine)

	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if descriptor(null.Fd()).isTerminal() {
		t.Error("/dev/null is taken for a terminal") // it is a character device, too
	}
}

func TestWarningOfTheRealServer(t *testing.T) {
	path := serve(t, &service{token: agent.Token{Environment: "prod", IDToken: agent.NewSecret("sk_1"), Warning: warning}})
	for format, want := range map[string]string{
		"token": "sk_1\n", "header": "Authorization: Bearer sk_1\n", "curl": "oauth2-bearer = \"sk_1\"\n" + allowed,
		"json": `{"token":"sk_1","token_type":"Bearer","expires_at":"","expires_in":"","environment":"prod","api_url":"","user":"","sub":""}` + "\n",
	} {
		shown, piped, exit := onPTY(t, []int{2}, "-socket", path, "-f", format)
		if shown != "kyc-token: warning: "+warning+"\n" || piped != want || exit != 0 {
			t.Errorf("%s: shown %q, piped %q, exit %d", format, shown, piped, exit)
		}
	}
}
