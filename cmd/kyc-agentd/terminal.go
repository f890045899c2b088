package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// errCancelled is what a prompt returns to a person who gave up.
var errCancelled = &agent.Error{Code: agent.CodeUnavailable, Op: "login", Message: "cancelled"}

// A terminal asks a person. It is /dev/tty, never stdin or stdout: these may be
// redirected, and a question in a pipe reaches nobody.
type terminal struct {
	f       *os.File
	pending []byte // read beyond the line that was asked for
}

func openTerminal() (*terminal, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &terminal{f: f}, nil
}

// Close also ends a read that is still waiting.
func (t *terminal) Close() error { return t.f.Close() }

// printf writes one line.
func (t *terminal) printf(format string, args ...any) {
	fmt.Fprintf(t.f, "%s\n", sanitize.OneLine(fmt.Sprintf(format, args...)))
}

// ask prints label and reads one line, without its end. With secret nothing typed is
// shown. When ctx ends (Ctrl-C, SIGTERM) it returns at once, and so does it at end of
// file; the terminal is as it was before, whatever happens.
func (t *terminal) ask(ctx context.Context, label string, secret bool) (string, error) {
	if ctx.Err() != nil {
		return "", errCancelled
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
		fmt.Fprint(t.f, "\n") // the person's own end of line was not shown
	}
	return line, err
}

// echoOff hides what is typed until restore is called.
func (t *terminal) echoOff() (restore func(), err error) {
	before, err := t.attributes()
	if err != nil {
		return nil, err
	}
	if err := t.setAttributes(hidden(before)); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { _ = t.setAttributes(before) }), nil
}

// readLine reads in another goroutine, as a read of a terminal cannot be given a
// deadline everywhere. After ctx ended that goroutine waits on until Close; t is of
// no more use then.
func (t *terminal) readLine(ctx context.Context) (string, error) {
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
		return "", errCancelled
	case r := <-done:
		return r.line, r.err
	}
}

func (t *terminal) line() (string, error) {
	buf := make([]byte, config.MaxLine)
	for {
		if line, rest, ok := strings.Cut(string(t.pending), "\n"); ok {
			t.pending = []byte(rest)
			return checkLine(strings.TrimSuffix(line, "\r"))
		}
		if len(t.pending) > config.MaxLine {
			return checkLine(string(t.pending))
		}
		n, err := t.f.Read(buf)
		t.pending = append(t.pending, buf[:n]...)
		if n == 0 && (err == nil || errors.Is(err, io.EOF)) {
			return "", errCancelled // Ctrl-D
		}
		if err != nil && n == 0 {
			return "", fmt.Errorf("cannot read from the terminal: %s", config.PlainCause(err))
		}
	}
}

func checkLine(line string) (string, error) {
	if len(line) > config.MaxLine {
		return "", usageError("", "the answer is longer than %d bytes", config.MaxLine)
	}
	if !utf8.ValidString(line) {
		return "", usageError("", "the answer is not UTF-8")
	}
	return line, nil
}
