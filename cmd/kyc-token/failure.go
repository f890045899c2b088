package main

// What a person sees when something fails:
//
//   - one line on stderr, `kyc-token: ` and then what, where and the next command to
//     type; no capital at the start, no full stop at the end;
//   - stdout stays empty: whatever is on it is an artefact, whole;
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

// usageError is a command line that cannot be understood.
func usageError(text string) error {
	return failure{exitUsage, text + "; run: kyc-token -h"}
}

// asFailure finds the exit code of err.
func asFailure(err error) failure {
	if f, ok := err.(failure); ok {
		return f
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
