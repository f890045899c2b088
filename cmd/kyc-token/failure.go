package main

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file has kyc-token's exit codes and messages; the agent's errors, which it passes
// on, are made in package agent. What a person sees when something fails:
//
//   - one line on stderr, `kyc-token: ` and then what, where and the next command to
//     type; no capital at the start, no full stop at the end;
//   - nothing on stdout, except for readers that do not look at the exit code and would
//     go on without a token: for curl, Google's libraries and git it prints what stops
//     them. After a success stdout has the complete output;
//   - the exit code, which tells scripts the kind of failure (see isRunByGoogle for the one
//     reader that gets 0);
//   - no control sequence from outside reaches the terminal.
//
// A success prints nothing on stderr, except for a warning of the agent: one line that
// begins with `kyc-token: warning: `, and only if stderr is a terminal.

// Exit codes, from BSD's sysexits.h.
const (
	exitOK          = 0
	exitUsage       = 64 // the command line is wrong
	exitUnavailable = 69 // no agent answers
	exitInternal    = 70 // a bug, an invalid answer, or writing to stdout failed
	exitTemporary   = 75 // try again
	exitDenied      = 77 // a person has to sign in or unlock, or a rule forbids it
	exitConfig      = 78 // unknown environment, or a configuration that cannot work
)

// A failure ends the process.
type failure struct {
	exit int
	text string
}

func (f failure) Error() string { return f.text }

// A refusal is a failure that the agent reported.
type refusal struct{ failure }

// ending returns what follows a complete answer on stdout.
//
// No line of kyc-token's can stop curl if kyc-token cannot start or is killed: curl then
// reads an empty config, or a part of one, and sends the request. So scripts write
// `curl --proto -all -K …`, which forbids everything, and this last line allows HTTP again.
func (o options) ending() string {
	if o.format == "curl" && !o.help && !o.version {
		return "proto = \"=http,https\"\n"
	}
	return ""
}

// failClosed returns what to print on stdout after a failure.
func (o options) failClosed(err error) string {
	_, refused := err.(refusal)
	switch {
	case o.format == "curl":
		// An empty config would let curl send the request without a token. With no
		// protocol allowed it sends nothing at all and exits 1.
		return "proto = \"-all\"\n"
	case o.format == "google":
		f := asFailure(err)
		return `{"version":1,"success":false,"code":"` + statusOf(f.exit) + `","message":` + jsonQuote(clean(f.text)) + "}\n"
	case o.mode == modeGit && refused:
		// For other hosts the agent answers without an error, so this host belongs to an
		// environment, and git must not ask for a password, which could not work.
		return "quit=1\n"
	}
	return ""
}

// isRunByGoogle reports whether a Google auth library runs this process. It reads an answer that
// is a failure, and shows its message, only if the exit code is 0, and takes what is on stderr
// for a part of the answer. Everybody else gets the exit code.
func (p process) isRunByGoogle(o options) bool {
	return o.format == "google" && p.getenv("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE") != ""
}

// statusOf returns the HTTP status for an exit code, for Google's libraries to show.
func statusOf(exit int) string {
	switch exit {
	case exitUsage:
		return "400"
	case exitDenied:
		return "401"
	case exitConfig:
		return "404"
	case exitUnavailable, exitTemporary:
		return "503"
	}
	return "500"
}

// jsonQuote makes a JSON string of text that clean returned.
func jsonQuote(text string) string {
	return `"` + replaceAll(replaceAll(text, `\`, `\\`), `"`, `\"`) + `"`
}

// replaceAll does what strings.ReplaceAll does, which links 4 kB.
func replaceAll(text, from, to string) string {
	var replaced string
	for {
		before, after, found := strings.Cut(text, from)
		replaced += before
		if !found {
			return replaced
		}
		replaced += to
		text = after
	}
}

// usageError is a mistake in the command line.
func usageError(text string) error {
	return failure{exitUsage, text + "; run: kyc-token -h"}
}

// asFailure returns err with its exit code.
func asFailure(err error) failure {
	switch f := err.(type) {
	case failure:
		return f
	case refusal:
		return f.failure
	}
	return failure{exitInternal, err.Error()}
}

// maxLine is the longest text, in bytes, that is shown of an outside one.
const maxLine = 1000

// clean makes outside text fit for a terminal, and cuts it at maxLine.
func clean(text string) string {
	for i := range text {
		if i >= maxLine {
			text = text[:i]
			break
		}
	}
	return oneLine(text)
}

// oneLine is OneLine of internal/sanitize, where the rule is written down. It is a
// copy because this program imports nothing of the module, for its size, and for that
// it does without package unicode, whose tables are 4 KB here. One table tests both.
func oneLine(text string) string {
	var out []byte
	end := 0 // of out without blanks at its end
	for _, r := range text {
		blank := r == ' '
		switch {
		case r >= '\t' && r <= '\r', r == '\u0085', r == '\u2028', r == '\u2029':
			r, blank = ' ', true
		case r == utf8.RuneError:
			r = '?'
		case strconv.IsPrint(r), r == '\u200c', r == '\u200d':
		case strconv.IsGraphic(r):
			blank = true
		default:
			r = '?'
		}
		if blank && end == 0 {
			continue
		}
		out = append(out, string(r)...)
		if !blank {
			end = len(out)
		}
	}
	return string(out[:end])
}
