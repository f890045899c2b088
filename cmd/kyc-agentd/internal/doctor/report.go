package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A Finding is one line of a report.
type Finding struct {
	ID          string   `json:"id"`
	Area        string   `json:"area"`
	Severity    Severity `json:"severity"`
	Environment string   `json:"environment,omitempty"`
	Message     string   `json:"message"`
	// Fix is what to do about it; empty when nothing has to be done.
	Fix      string `json:"fix,omitempty"`
	Duration int64  `json:"duration_ms"` // of the check, in milliseconds
	// Command is what `doctor --fix` may run: the fix, where it is safe. Else it is empty.
	Command []string `json:"-"`
}

// A Severity is how bad a finding is.
type Severity string

// The severities, from good to bad.
const (
	SeverityOK      Severity = "ok"
	SeverityNote    Severity = "note"    // worth knowing, nothing to do
	SeverityWarning Severity = "warning" // works, and may not for long
	SeverityProblem Severity = "problem" // does not work
)

func ok(id, format string, args ...any) Finding {
	return Finding{ID: id, Severity: SeverityOK, Message: fmt.Sprintf(format, args...)}
}

func info(id, fix, format string, args ...any) Finding {
	return Finding{ID: id, Severity: SeverityNote, Fix: fix, Message: fmt.Sprintf(format, args...)}
}

func warning(id, fix, format string, args ...any) Finding {
	return Finding{ID: id, Severity: SeverityWarning, Fix: fix, Message: fmt.Sprintf(format, args...)}
}

func problem(id, fix, format string, args ...any) Finding {
	return Finding{ID: id, Severity: SeverityProblem, Fix: fix, Message: fmt.Sprintf(format, args...)}
}

// safe returns f with the command of its fix, which --fix may run: it deletes nothing, kills
// nothing, makes no key, needs no root, and does not end what is only in memory.
func (f Finding) safe(command ...string) Finding {
	f.Command = command
	return f
}

// unused returns f as a note if it is about something that nobody uses.
func (f Finding) unused(why string) Finding {
	if f.Severity == SeverityProblem || f.Severity == SeverityWarning {
		f.Severity, f.Message = SeverityNote, f.Message+" ("+why+")"
	}
	return f
}

// forEnv returns f as a finding about an environment.
func (f Finding) forEnv(environment string) Finding {
	f.Environment = environment
	return f
}

// A Report is the result of all checks. Its JSON is the output of `doctor --json`.
type Report struct {
	Version  string    `json:"version"` // of this program
	Offline  bool      `json:"offline"`
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
}

// Worst returns the worst severity of the findings.
func (r Report) Worst() Severity {
	for _, s := range []Severity{SeverityProblem, SeverityWarning, SeverityNote} {
		if r.count(s) > 0 {
			return s
		}
	}
	return SeverityOK
}

func (r Report) count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// WriteJSON writes r for a program.
func (r Report) WriteJSON(w io.Writer) error {
	r.Problems, r.Warnings = r.count(SeverityProblem), r.count(SeverityWarning)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// colours are of a severity's word, on a terminal.
var colours = map[Severity]string{
	SeverityOK: "\x1b[32m", SeverityNote: "\x1b[36m", SeverityWarning: "\x1b[33m", SeverityProblem: "\x1b[31m",
}

// WriteText writes r for a person: a line for each finding, and one for its fix. Lines are
// broken for a terminal of columns, if that is not 0.
func (r Report) WriteText(w io.Writer, colour bool, columns int) error {
	var b strings.Builder
	area, width := "", 0
	for _, f := range r.Findings {
		width = max(width, len(f.ID))
	}
	for _, f := range r.Findings {
		if f.Area != area {
			area = f.Area
			fmt.Fprintf(&b, "%s\n", area)
		}
		f.write(&b, width, colour, columns)
	}
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

// minMessage is how many columns a message needs beside the id of its finding. On a narrower
// terminal it stands below.
const minMessage = 40

func (f Finding) write(b *strings.Builder, width int, colour bool, columns int) {
	word := fmt.Sprintf("%-7s", f.Severity)
	where := ""
	if f.Environment != "" {
		where = f.Environment + ": "
	}
	message := sanitize.OneLine(where + f.Message)
	head, indent := fmt.Sprintf("  %s  %-*s  ", word, width, f.ID), 13+width
	if columns > 0 && columns < indent+minMessage {
		head, indent = fmt.Sprintf("  %s  %s\n    ", word, f.ID), 4
	}
	above := strings.LastIndexByte(head, '\n') + 1 // what of head has lines already
	text := head[:above] + statustext.Wrap(head[above:]+message, columns, indent)
	if colour {
		text = strings.Replace(text, word, colours[f.Severity]+word+"\x1b[0m", 1)
	}
	fmt.Fprintf(b, "%s\n", text)
	if f.Fix != "" {
		indent = min(indent, 11)
		fmt.Fprintf(b, "%s\n", statustext.Wrap(strings.Repeat(" ", indent)+"fix: "+sanitize.OneLine(f.Fix), columns, indent+5))
	}
}

func (r Report) verdict() string {
	problems, warnings := r.count(SeverityProblem), r.count(SeverityWarning)
	if problems+warnings == 0 {
		return "all is well"
	}
	return fmt.Sprintf("%s, %s", plural(problems, "problem"), plural(warnings, "warning"))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
