package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A report is what doctor prints; as JSON it is the type itself.
type report struct {
	Version  string    `json:"version"` // of this program
	Offline  bool      `json:"offline"`
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
	Findings []finding `json:"findings"`
}

// count counts the findings of a severity.
func (r report) count(s severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// worst is the worst severity there is.
func (r report) worst() severity {
	for _, s := range []severity{severityProblem, severityWarning, severityNote} {
		if r.count(s) > 0 {
			return s
		}
	}
	return severityOK
}

func (r report) writeJSON(w io.Writer, _ bool) error {
	r.Problems, r.Warnings = r.count(severityProblem), r.count(severityWarning)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// colours are of a severity's word, on a terminal.
var colours = map[severity]string{
	severityOK: "\x1b[32m", severityNote: "\x1b[36m", severityWarning: "\x1b[33m", severityProblem: "\x1b[31m",
}

// write writes r for a person: a line for each finding, and one for what to do about it.
func (r report) write(w io.Writer, colour bool) error {
	var b strings.Builder
	area := ""
	for _, f := range r.Findings {
		if f.Area != area {
			area = f.Area
			fmt.Fprintf(&b, "%s\n", area)
		}
		f.write(&b, r.width(), colour)
	}
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

// width is that of the longest id.
func (r report) width() (n int) {
	for _, f := range r.Findings {
		n = max(n, len(f.ID))
	}
	return n
}

func (f finding) write(b *strings.Builder, width int, colour bool) {
	word := fmt.Sprintf("%-7s", f.Severity)
	if colour {
		word = colours[f.Severity] + word + "\x1b[0m"
	}
	where := ""
	if f.Environment != "" {
		where = f.Environment + ": "
	}
	fmt.Fprintf(b, "  %s  %-*s  %s\n", word, width, f.ID, sanitize.OneLine(where+f.Message))
	if f.Fix != "" {
		fmt.Fprintf(b, "           fix: %s\n", sanitize.OneLine(f.Fix))
	}
}

func (r report) verdict() string {
	problems, warnings := r.count(severityProblem), r.count(severityWarning)
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

// colourOf reports whether w is a terminal that wants colour.
func colourOf(w io.Writer, vars config.Environ) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && !vars.NoColor()
}
