package main

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a person sees when something fails:
//
//   - one line on stderr, `kyc-token: ` and then what, where and the next command to
//     type; no capital at the start, no full stop at the end;
//   - stdout stays empty: whatever is on it is an artefact, whole. What is there after a
//     failure keeps a reader that does not look at the exit code from going on without
//     a token: curl, Google's libraries, git;
//   - the exit code says what kind of failure it was, for scripts;
//   - nothing from outside reaches the terminal as a control sequence.
//
// A success is silent on stderr, but for a warning of the agent's, on one line that
// begins `kyc-token: warning: `, and only when a terminal is there to show it.

// Exit codes, from BSD's sysexits.h.
const (
	exitOK          = 0
	exitUsage       = 64 // the command line is wrong
	exitUnavailable = 69 // no agent answers
	exitInternal    = 70 // a bug, an answer that makes no sense, or stdout failed
	exitTemporary   = 75 // try again
	exitDenied      = 77 // a person has to sign in or unlock, or a rule says no
	exitConfig      = 78 // unknown environment, or a configuration that cannot work
)

// A failure ends the process.
type failure struct {
	exit int
	text string
}

func (f failure) Error() string { return f.text }

// A refusal is a failure that the agent told of.
type refusal struct{ failure }

// failClosed is what is on stdout after a failure.
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
		// The agent keeps silent about others' hosts, so that this is one of ours, and
		// git is not to ask for a password, which would be of no use.
		return "quit=1\n"
	}
	return ""
}

// statusOf is the HTTP status of an exit code, as Google's libraries show one.
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

// jsonQuote makes a JSON string of clean text.
func jsonQuote(text string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`) + `"`
}

// usageError is a command line that cannot be understood.
func usageError(text string) error {
	return failure{exitUsage, text + "; run: kyc-token -h"}
}

// asFailure finds the exit code of err.
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
