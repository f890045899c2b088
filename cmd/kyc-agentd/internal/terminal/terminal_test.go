package terminal

import (
	"context"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
)

// asks calls tty.Ask in the background.
func asks(ctx context.Context, tty *Terminal, question string, secret bool) (answer func() (string, error)) {
	type result struct {
		s   string
		err error
	}
	done := make(chan result, 1)
	go func() {
		s, err := tty.Ask(ctx, question, secret)
		done <- result{s, err}
	}()
	return func() (string, error) { r := <-done; return r.s, r.err }
}

func TestTerminalEchoesAnOrdinaryAnswer(t *testing.T) {
	p := terminaltest.New(t)
	answer := asks(t.Context(), New(p.TTY), "User?", false)
	p.Sees("User? ")
	p.Types("ana\n")
	p.Sees("ana\r\n")
	if got, err := answer(); got != "ana" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTerminalHidesASecret(t *testing.T) {
	p := terminaltest.New(t)
	answer := asks(t.Context(), New(p.TTY), "Password?", true)
	p.Sees("Password? ")
	if p.Echoes() {
		t.Error("the terminal echoes at the prompt")
	}
	p.Types("hunter2\n")
	if got, err := answer(); got != "hunter2" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	p.Sees("\r\n")
	if strings.Contains(p.Seen(), "hunter2") {
		t.Errorf("the screen shows %q", p.Seen())
	}
	if !p.Echoes() {
		t.Error("the terminal does not echo after the prompt")
	}
}

// A terminal that hangs up is a person who went away. SIGHUP says so too, but the read
// may fail before the signal has arrived.
func TestTerminalHangUpCancels(t *testing.T) {
	p := terminaltest.New(t)
	answer := asks(t.Context(), New(p.TTY), "Password?", true)
	p.Sees("Password? ")
	p.HangUp()
	if _, err := answer(); err != ErrCancelled {
		t.Errorf("error %v", err)
	}
}

func TestTerminalIsRestoredWhenCancelled(t *testing.T) {
	for _, secret := range []bool{true, false} {
		p := terminaltest.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		answer := asks(ctx, New(p.TTY), "Code?", secret)
		p.Sees("Code? ")
		cancel()
		if _, err := answer(); err != ErrCancelled {
			t.Errorf("error %v", err)
		}
		if !p.Echoes() {
			t.Error("the terminal is left without echo")
		}
	}
}

func TestTerminalAsksNothingOnceCancelled(t *testing.T) {
	p := terminaltest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(p.TTY).Ask(ctx, "Password?", true); err != ErrCancelled {
		t.Error(err)
	}
}

func TestTerminalEndOfFileCancels(t *testing.T) {
	p := terminaltest.New(t)
	answer := asks(t.Context(), New(p.TTY), "Password?", true)
	p.Sees("Password? ")
	p.Types("\x04")
	if _, err := answer(); err != ErrCancelled {
		t.Error(err)
	}
	if !p.Echoes() {
		t.Error("the terminal is left without echo")
	}
}

// What is pasted in one go answers the prompts one by one.
func TestTerminalKeepsWhatWasTypedAhead(t *testing.T) {
	p := terminaltest.New(t)
	tty := New(p.TTY)
	p.Types("one\ntwo\n\n")
	for _, want := range []string{"one", "two", ""} {
		if got, err := tty.Ask(t.Context(), "Answer?", false); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestTerminalRefusesWhatIsNotUTF8(t *testing.T) {
	p := terminaltest.New(t)
	p.Types("\xff\xfe\n")
	if _, err := New(p.TTY).Ask(t.Context(), "Answer?", false); agent.CodeOf(err) != agent.CodeUsage {
		t.Error(err)
	}
}

func TestTerminalIndents(t *testing.T) {
	p := terminaltest.New(t)
	p.Types("\n")
	tty := New(p.TTY)
	tty.Printf("  %s", "   unit")
	if _, err := tty.Ask(t.Context(), "Approve?", false); err != nil {
		t.Fatal(err)
	}
	p.Sees("Approve? ")
	if shown := p.Seen(); !strings.Contains(shown, "\r\n  unit\r\n") && !strings.HasPrefix(shown, "  unit\r\n") {
		t.Errorf("%q", shown)
	}
}

// What Cognito or a configuration says must not steer the terminal.
func TestTerminalShowsNoControlSequences(t *testing.T) {
	p := terminaltest.New(t)
	p.Types("\n")
	tty := New(p.TTY)
	tty.Printf("%s", "a\x1b]0;title\x07b\nc")
	if _, err := tty.Ask(t.Context(), "Code\x1b[2J?", false); err != nil {
		t.Fatal(err)
	}
	p.Sees("Code?[2J? ")
	if shown := p.Seen(); strings.ContainsAny(shown, "\x1b\x07") || !strings.Contains(shown, "a?]0;title?b c\r\n") {
		t.Errorf("%q", shown)
	}
}

func TestCheckLine(t *testing.T) {
	if _, err := CheckLine(strings.Repeat("x", config.MaxLine)); err != nil {
		t.Error(err)
	}
	if _, err := CheckLine(strings.Repeat("x", config.MaxLine+1)); agent.CodeOf(err) != agent.CodeUsage {
		t.Error(err)
	}
}
