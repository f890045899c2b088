package main

// The rules of what a person sees:
//
//   - stdout has what was asked for and nothing else: the status, the version, a
//     help text. A script may read it.
//   - stderr has the rest: one line per failure, "kyc-agentd: " before it, and one
//     line that says what was done.
//   - Questions go to the terminal itself, /dev/tty, and so do their answers: stdin,
//     stdout and stderr may be redirected. What is secret is not echoed.
//   - A line begins in lower case, says what and where and then the next command to
//     type ("; run: …"), and has no period.
//   - The log is another thing: see log.go.

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// stdio is what the program talks over. tty opens the terminal; the caller closes it.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	tty      func() (*terminal.Terminal, error)
}

func systemStdio() stdio {
	return stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr, tty: terminal.Open}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// say prints one line on stderr.
func (s stdio) say(format string, args ...any) {
	fmt.Fprintf(s.err, "kyc-agentd: %s\n", sanitize.OneLine(fmt.Sprintf(format, args...)))
}
