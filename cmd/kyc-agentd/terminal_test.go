package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent"
)

// A person sits at one end of a pseudo-terminal; the program has the other.
type person struct {
	t    *testing.T
	f    *os.File
	tty  *terminal
	seen strings.Builder
}

func newPerson(t *testing.T) *person {
	t.Helper()
	p, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); program.Close() })
	return &person{t: t, f: p, tty: &terminal{f: program}}
}

// types types a line.
func (p *person) types(s string) {
	p.t.Helper()
	if _, err := p.f.WriteString(s); err != nil {
		p.t.Fatal(err)
	}
}

// sees reads on until the screen has shown text since the last call.
func (p *person) sees(text string) {
	p.t.Helper()
	var since strings.Builder
	buf := make([]byte, 1)
	for !strings.HasSuffix(since.String(), text) {
		if _, err := p.f.Read(buf); err != nil {
			p.t.Fatalf("the screen shows %q and not %q: %v", since.String(), text, err)
		}
		since.Write(buf)
	}
	p.seen.WriteString(since.String())
}

func (p *person) echoes() bool {
	p.t.Helper()
	a, err := (&terminal{f: p.f}).attributes() // the program may have closed its end
	if err != nil {
		p.t.Fatal(err)
	}
	return a.Lflag&unix.ECHO != 0
}

// asks runs ask in the background.
func (p *person) asks(ctx context.Context, label string, secret bool) (answer func() (string, error)) {
	type result struct {
		s   string
		err error
	}
	done := make(chan result, 1)
	go func() {
		s, err := p.tty.ask(ctx, label, secret)
		done <- result{s, err}
	}()
	return func() (string, error) { r := <-done; return r.s, r.err }
}

func TestTerminalEchoesAnOrdinaryAnswer(t *testing.T) {
	p := newPerson(t)
	answer := p.asks(t.Context(), "User", false)
	p.sees("User: ")
	p.types("ana\n")
	p.sees("ana\r\n")
	if got, err := answer(); got != "ana" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTerminalHidesASecret(t *testing.T) {
	p := newPerson(t)
	answer := p.asks(t.Context(), "Password", true)
	p.sees("Password: ")
	if p.echoes() {
		t.Error("the terminal echoes at the prompt")
	}
	p.types("hunter2\n")
	if got, err := answer(); got != "hunter2" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	p.sees("\r\n")
	if strings.Contains(p.seen.String(), "hunter2") {
		t.Errorf("the screen shows %q", p.seen.String())
	}
	if !p.echoes() {
		t.Error("the terminal does not echo after the prompt")
	}
}

func TestTerminalIsRestoredWhenCancelled(t *testing.T) {
	for _, secret := range []bool{true, false} {
		p := newPerson(t)
		ctx, cancel := context.WithCancel(t.Context())
		answer := p.asks(ctx, "Code", secret)
		p.sees("Code: ")
		cancel()
		if _, err := answer(); err != errCancelled {
			t.Errorf("error %v", err)
		}
		if !p.echoes() {
			t.Error("the terminal is left without echo")
		}
	}
}

func TestTerminalAsksNothingOnceCancelled(t *testing.T) {
	p := newPerson(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.tty.ask(ctx, "Password", true); err != errCancelled {
		t.Error(err)
	}
}

func TestTerminalEndOfFileCancels(t *testing.T) {
	p := newPerson(t)
	answer := p.asks(t.Context(), "Password", true)
	p.sees("Password: ")
	p.types("\x04")
	if _, err := answer(); err != errCancelled {
		t.Error(err)
	}
	if !p.echoes() {
		t.Error("the terminal is left without echo")
	}
}

// What is pasted in one go answers the prompts one by one.
func TestTerminalKeepsWhatWasTypedAhead(t *testing.T) {
	p := newPerson(t)
	p.types("one\ntwo\n\n")
	for _, want := range []string{"one", "two", ""} {
		if got, err := p.tty.ask(t.Context(), "Answer", false); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestTerminalRefusesWhatIsNotUTF8(t *testing.T) {
	p := newPerson(t)
	p.types("\xff\xfe\n")
	if _, err := p.tty.ask(t.Context(), "Answer", false); agent.CodeOf(err) != agent.CodeUsage {
		t.Error(err)
	}
}

// What Cognito or a configuration says must not steer the terminal.
func TestTerminalShowsNoControlSequences(t *testing.T) {
	p := newPerson(t)
	p.types("\n")
	p.tty.printf("%s", "a\x1b]0;title\x07b\nc")
	if _, err := p.tty.ask(t.Context(), "Code\x1b[2J", false); err != nil {
		t.Fatal(err)
	}
	p.sees("Code?[2J: ")
	if shown := p.seen.String(); strings.ContainsAny(shown, "\x1b\x07") || !strings.Contains(shown, "a?]0;title?b c\r\n") {
		t.Errorf("%q", shown)
	}
}

func TestCheckLine(t *testing.T) {
	if _, err := checkLine(strings.Repeat("x", config.MaxLine)); err != nil {
		t.Error(err)
	}
	if _, err := checkLine(strings.Repeat("x", config.MaxLine+1)); agent.CodeOf(err) != agent.CodeUsage {
		t.Error(err)
	}
}
