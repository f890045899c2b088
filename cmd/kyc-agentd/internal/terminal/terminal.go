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
	"strings"
	"sync"
	"syscall"

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
}

// Open opens /dev/tty.
func Open() (*Terminal, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return New(f), nil
}

// New returns the terminal that f is open on. Close closes f.
func New(f *os.File) *Terminal { return &Terminal{f: f} }

// Close closes the terminal. It also ends a read that is still waiting.
func (t *Terminal) Close() error { return t.f.Close() }

// Printf writes one line.
func (t *Terminal) Printf(format string, args ...any) {
	fmt.Fprintf(t.f, "%s\n", sanitize.OneLine(fmt.Sprintf(format, args...)))
}

// Ask prints label and reads one line, without its end. If secret is set, nothing typed is
// shown. Ask returns at once when ctx ends (Ctrl-C, SIGTERM) and at end of file. It always
// restores the terminal.
func (t *Terminal) Ask(ctx context.Context, label string, secret bool) (string, error) {
	if ctx.Err() != nil {
		return "", ErrCancelled
	}
	if secret {
		restore, err := t.echoOff()
		if err != nil {
			return "", fmt.Errorf("cannot turn the terminal's echo off: %w", err)
		}
		defer restore()
	}
	fmt.Fprintf(t.f, "%s: ", sanitize.OneLine(label))
	line, err := t.readLine(ctx)
	if secret || err != nil {
		fmt.Fprint(t.f, "\n") // the line break that was typed is not shown
	}
	return line, err
}

// echoOff hides what is typed until restore is called.
func (t *Terminal) echoOff() (restore func(), err error) {
	before, err := t.attributes()
	if err != nil {
		return nil, err
	}
	if err := t.setAttributes(hidden(before)); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { _ = t.setAttributes(before) }), nil
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
