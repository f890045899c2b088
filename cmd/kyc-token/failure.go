package main

import "strings"

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

// clean makes text fit for a terminal: its first line, with everything that could
// steer a terminal or reorder the text replaced by '?'.
func clean(text string) string {
	out := make([]byte, 0, min(len(text), maxLine)+4)
	for _, r := range text {
		if r == '\n' || len(out) >= maxLine {
			break
		}
		if steers(r) {
			r = '?'
		}
		out = append(out, string(r)...)
	}
	return string(out)
}

// steers reports whether r is a control character (C0, DEL, C1), not a character at
// all (U+FFFD stands for invalid UTF-8), or one that breaks or turns the line.
func steers(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xfffd:
		return true
	case r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return false
}
