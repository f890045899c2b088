package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// An auditTable writes lines of the audit log for a person.
type auditTable struct {
	w     io.Writer
	width int
	table statustext.Table
	shown bool // the header
}

// maxAuditRows is how many rows are laid out together.
const maxAuditRows = 1000

func newAuditTable(w io.Writer) *auditTable {
	t := &auditTable{w: w, width: terminal.Columns(w)}
	t.table.Header = []string{"TIME", "EVENT", "ENVIRONMENT", "USER", "PROGRAM", "WHAT"}
	return t
}

func (t *auditTable) add(_ []byte, l audit.Line) error {
	t.table.Rows = append(t.table.Rows, []string{
		l.Time.Local().Format(time.DateTime), eventText(l), orDash(l.What.Environment), orDash(l.What.User), programText(l.Who), orDash(whatText(l)),
	})
	if len(t.table.Rows) >= maxAuditRows {
		return t.flush()
	}
	return nil
}

// flush writes the rows so far.
func (t *auditTable) flush() error {
	if len(t.table.Rows) == 0 {
		return nil
	}
	table := t.table
	t.table.Rows = nil
	if t.shown {
		table.Header = make([]string, len(table.Header))
	}
	return table.Write(t.w, t.width)
}

func orDash(s string) string { return cmp.Or(sanitize.OneLine(s), "-") }

func eventText(l audit.Line) string {
	if l.Count > 1 {
		return fmt.Sprintf("%s ×%d", l.Event, l.Count)
	}
	return sanitize.OneLine(string(l.Event))
}

// programText names the program and those that started it: "kyc-token (4711) < bash < tmux".
func programText(w audit.Who) string {
	if w.Peer == nil {
		return "-"
	}
	var text strings.Builder
	text.WriteString(filepath.Base(cmp.Or(w.Exe, w.Comm, "a program")))
	if w.PID > 0 {
		text.WriteString(" (" + strconv.Itoa(w.PID) + ")")
	}
	for _, p := range w.Parents {
		text.WriteString(" < " + filepath.Base(cmp.Or(p.Exe, "?")))
	}
	if w.Unit != "" {
		text.WriteString(", " + w.Unit)
	}
	return sanitize.OneLine(text.String())
}

// whatText says the rest.
func whatText(l audit.Line) string {
	var words []string
	add := func(format string, value any, is bool) {
		if is {
			words = append(words, fmt.Sprintf(format, value))
		}
	}
	add("%s", l.What.Method, l.What.Method != "")
	add("%s", l.What.Path, l.What.Path != "")
	add("%d", l.What.Status, l.What.Status != 0)
	add("%s", l.What.Detail, l.What.Detail != "")
	add("%s", l.What.Code, l.What.Code != "")
	add("…%s", l.What.End, l.What.End != "")
	add("grant %s", l.Grant, l.Grant != "")
	add("socket %s", l.Who.Socket, l.Who.Socket != "" && l.Who.Socket != "agent")
	add("%d dropped before", l.Dropped, l.Dropped > 0)
	add("(%s)", l.Note, l.Note != "")
	return strings.Join(words, " ")
}
