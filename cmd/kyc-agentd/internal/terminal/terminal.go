// Package terminal prompts a person on /dev/tty, never on stdin or stdout.
//
// These may be redirected, and a question in a pipe reaches nobody. [Open] the terminal
// for a verb, and call [Terminal.Ask] for each answer: secrets are not echoed, and however
// the prompt ends the terminal is as it was before. What is printed cannot steer the
// terminal.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// ErrCancelled is the error of a prompt at which the person gave up.
var ErrCancelled error = &agent.Error{Code: agent.CodeUnavailable, Op: "login", Message: "cancelled"}

// A Terminal asks a person.
type Terminal struct {
	f       *os.File
	pending []byte // read beyond the line that was asked for

	mu      sync.Mutex
	prompt  *prompt        // the one that waits for an answer, or nil
	signals chan os.Signal // of job control
	closed  chan struct{}
}

// Open opens /dev/tty, and makes Ctrl-Z and fg work at its prompts.
func Open() (*Terminal, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	t := New(f)
	t.followJobControl()
	return t, nil
}

// New returns the terminal that f is open on. Close closes f.
func New(f *os.File) *Terminal { return &Terminal{f: f, closed: make(chan struct{})} }

// Close closes the terminal. It also ends a read that is still waiting.
func (t *Terminal) Close() error {
	if t.signals != nil {
		signal.Stop(t.signals)
	}
	close(t.closed)
	return t.f.Close()
}

// Printf writes one line, which is indented if format is.
func (t *Terminal) Printf(format string, args ...any) {
	indent := format[:len(format)-len(strings.TrimLeft(format, " "))]
	fmt.Fprintf(t.f, "%s%s\n", indent, sanitize.OneLine(fmt.Sprintf(format, args...)))
}

// Ask prints question and reads one line, without its end. If secret is set, nothing typed is
// shown. Ask returns at once when ctx ends (Ctrl-C, SIGTERM) and at end of file. It always
// restores the terminal.
func (t *Terminal) Ask(ctx context.Context, question string, secret bool) (string, error) {
	if ctx.Err() != nil || !t.awaitForeground(ctx) {
		return "", ErrCancelled
	}
	p := &prompt{t: t, ctx: ctx, question: sanitize.OneLine(question), secret: secret}
	if err := t.begin(p); err != nil {
		return "", fmt.Errorf("cannot turn the terminal's echo off: %w", err)
	}
	line, err := t.readLine(ctx)
	t.end(err != nil)
	return line, err
}

// begin makes p the prompt that waits for an answer.
func (t *Terminal) begin(p *prompt) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prompt = p
	return p.show()
}

// end ends the prompt. If it was given up, what was typed so far is discarded: a shell would
// take the beginning of a password for the beginning of a command, and show it.
func (t *Terminal) end(givenUp bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prompt.secret || givenUp {
		fmt.Fprint(t.f, "\n") // the line break that was typed is not shown
	}
	t.prompt.restore(givenUp)
	t.prompt = nil
}

// A prompt is a question that waits for an answer.
type prompt struct {
	t        *Terminal
	ctx      context.Context
	question string
	secret   bool
	before   *unix.Termios // what restore sets; nil if the terminal is as it was
}

// show turns the echo off if the answer is secret, and prints the question. After a stop that
// nobody can prepare for (SIGSTOP), the shell has turned the echo on.
func (p *prompt) show() error {
	if p.secret && p.before == nil {
		before, err := p.t.attributes()
		if err != nil {
			return err
		}
		p.before = before
	}
	if p.secret {
		if err := p.t.setAttributes(setTermios, hidden(p.before)); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.t.f, "%s ", p.question)
	return nil
}

// restore sets the terminal as it was before show. From the background the terminal of
// others is left alone: the shell has set it as it wants it.
func (p *prompt) restore(discard bool) {
	if p.before == nil {
		return
	}
	request := uint(setTermios)
	if discard {
		request = flushTermios
	}
	if p.t.inForeground() {
		_ = p.t.setAttributes(request, p.before)
	}
	p.before = nil
}

// readLine reads in another goroutine, because a read of a terminal cannot be given a
// deadline on every system. When ctx ends first, that goroutine waits until Close, and t
// cannot be used any more.
func (t *Terminal) readLine(ctx context.Context) (string, error) {
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := t.line()
		done <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", ErrCancelled
	case r := <-done:
		return r.line, r.err
	}
}

func (t *Terminal) line() (string, error) {
	buf := make([]byte, config.MaxLine)
	for {
		if line, rest, ok := strings.Cut(string(t.pending), "\n"); ok {
			t.pending = []byte(rest)
			return CheckLine(strings.TrimSuffix(line, "\r"))
		}
		if len(t.pending) > config.MaxLine {
			return CheckLine(string(t.pending))
		}
		n, err := t.f.Read(buf)
		t.pending = append(t.pending, buf[:n]...)
		// Ctrl-D reads as the end of the file, and a terminal that hung up as EIO.
		if n == 0 && (err == nil || errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO)) {
			return "", ErrCancelled
		}
		if err != nil && n == 0 {
			return "", fmt.Errorf("cannot read from the terminal: %s", config.PlainCause(err))
		}
	}
}

// CheckLine returns line, or why it can be no answer.
func CheckLine(line string) (string, error) {
	what, _ := config.WrongEncoding(line)
	if len(line) > config.MaxLine {
		what = fmt.Sprintf("is longer than %d bytes", config.MaxLine)
	}
	if what == "" {
		return line, nil
	}
	return "", &agent.Error{Code: agent.CodeUsage, Op: "usage", Message: "the answer " + what}
}
