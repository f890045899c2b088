package logging

import (
	"context"
	"log/slog"
	"maps"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// journalHandler is a slog.Handler that sends to the journal. A record becomes an entry
// whose MESSAGE is the line that a person reads, with the attributes after it. Each
// attribute is also a field:
//
//	journalctl --user -t kyc-agentd KYC_ENV=prod
//
// github.com/systemd/slog-journal (v0.1.2) was tried in its place. It leaves the attributes out
// of MESSAGE, so that `journalctl` would show none of them; gives a level between two names
// the priority of info, also one above warn; writes a duration as a bare number; takes the
// identifier from the name that the program was started by; and journald drops its fields
// whose names are not upper case. What could go is the function priority alone.
//
// journald sets the time: entries have no field for another one.
type journalHandler struct {
	level  slog.Leveler
	send   sendEntry
	group  string            // open groups: "http."
	text   string            // the attributes of WithAttrs, as they follow the message
	fields map[string]string // the same, as fields; never changed in place
}

// A sendEntry sends one entry, as [journal.Send] does.
type sendEntry func(message string, priority journal.Priority, fields map[string]string) error

// newJournalHandler returns a handler that calls send for each record.
func newJournalHandler(level slog.Leveler, send sendEntry) slog.Handler {
	return &journalHandler{level: level, send: send, fields: map[string]string{"SYSLOG_IDENTIFIER": "kyc-agentd"}}
}

func (h *journalHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	entry := h.clone()
	r.Attrs(func(a slog.Attr) bool {
		entry.add(h.group, a)
		return true
	})
	return h.send(r.Message+entry.text, priority(r.Level), entry.fields)
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := h.clone()
	for _, a := range attrs {
		next.add(h.group, a)
	}
	return next
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := h.clone()
	next.group += name + "."
	return next
}

func (h *journalHandler) clone() *journalHandler {
	next := *h
	next.fields = maps.Clone(h.fields)
	return &next
}

// add adds a under group by the rules of slog: values are resolved, empty attributes are
// left out, and the members of a group without a name are added without one.
func (h *journalHandler) add(group string, a slog.Attr) {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return
	}
	if a.Value.Kind() != slog.KindGroup {
		h.text += " " + group + a.Key + "=" + quoted(a.Value.String())
		h.fields[fieldName(group+a.Key)] = a.Value.String()
		return
	}
	if a.Key != "" {
		group += a.Key + "."
	}
	for _, member := range a.Value.Group() {
		h.add(group, member)
	}
}

// quoted quotes s unless it is a plain word.
func quoted(s string) string {
	q := strconv.Quote(s)
	if s == "" || strings.ContainsAny(s, ` ="`) || len(q) != len(s)+2 {
		return q
	}
	return s
}

// maxField is the longest name that journald accepts; it drops longer ones silently.
const maxField = 64

// fieldName returns the name of the field for a key: KYC_ENV for "env". The journal accepts
// A-Z, 0-9 and '_', and reserves names that begin with '_'.
func fieldName(key string) string {
	name := "KYC_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	return name[:min(len(name), maxField)]
}

// priority returns the journal's priority for a level; one between two names counts as the
// lower.
func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	default:
		return journal.PriDebug
	}
}
