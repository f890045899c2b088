package main

// The rules for what a person sees:
//
//   - stdout has what was asked for and nothing else: the status, the version, a
//     help text. A script may read it.
//   - stderr has the rest: one line for each failure, which begins with "kyc-agentd: ",
//     and one line that says what was done.
//   - Questions and their answers use the terminal itself, /dev/tty, because stdin, stdout
//     and stderr may be redirected. Secrets are not echoed.
//   - A line begins in lower case. It says what failed and where, then the next command to
//     type ("; run: …"), and has no period.
//   - The log has other rules: see internal/logging.

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// stdio has the streams of the program. tty opens the terminal; the caller closes it.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	tty      func() (*terminal.Terminal, error)
	ascii    bool // the locale is not UTF-8
}

func systemStdio() stdio {
	s := stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr, tty: terminal.Open}
	if stdoutWasClosed() {
		s.out = closedStdout{}
	}
	return s
}

// closedStdout is a stdout that the caller closed. [os.Stdout] would be /dev/null.
type closedStdout struct{}

func (closedStdout) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EBADF}
}

// checkedOutput keeps the first error of writing: cobra prints it without the program's name
// and goes on. It writes help texts.
type checkedOutput struct {
	io  stdio
	w   io.Writer
	err error
}

func (o *checkedOutput) Write(p []byte) (int, error) {
	_, err := io.WriteString(o.w, o.io.spelled(o.w, string(p)))
	o.err = cmp.Or(o.err, err)
	return len(p), nil
}

// say prints one line on stderr.
func (s stdio) say(format string, args ...any) {
	fmt.Fprintf(s.err, "kyc-agentd: %s\n", s.spelled(s.err, sanitize.OneLine(fmt.Sprintf(format, args...))))
}

// spelled returns text as w can show it: a terminal whose locale is not UTF-8 has no "…".
func (s stdio) spelled(w io.Writer, text string) string {
	if s.ascii && isTerminal(w) {
		return strings.ReplaceAll(text, "…", "...")
	}
	return text
}

// shown returns where to write what others wrote: standard output, by way of a
// [sanitize.Writer] if a person reads it. A program gets it unchanged.
func (s stdio) shown() io.Writer {
	if isTerminal(s.out) {
		return &sanitize.Writer{To: s.out}
	}
	return s.out
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
