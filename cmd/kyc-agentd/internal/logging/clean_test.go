package logging

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/creack/pty"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/testlog"
)

// hostile has one of each kind of character that a terminal or a reader of lines interprets:
// OSC 52 sets the clipboard, OSC 2 the title, CSI moves the cursor; then C1, a bidirectional
// override, line separators and a byte that is not UTF-8.
const hostile = "\x1b]52;c;cm0gLXJmIH4K\x1b\\\x1b]2;OWNED\a\x1b[2J\x1b[H\r\nforged level=ERROR\u009b2J\u202e\u2028\x00\x7f\xff"

// handlers returns a function for each handler that logs what log says, and returns all that
// was written.
func handlers() map[string]func(*testing.T, func(*slog.Logger)) string {
	onTerminal := func(vars ...string) func(*testing.T, func(*slog.Logger)) string {
		return func(t *testing.T, log func(*slog.Logger)) string {
			person, program, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer person.Close()
			read := make(chan string)
			go func() { read <- readAll(person) }()
			log(New(program, slog.LevelDebug, config.Environ(vars)))
			program.Close()
			return strings.ReplaceAll(<-read, "\r\n", "\n") // the terminal's own
		}
	}
	return map[string]func(*testing.T, func(*slog.Logger)) string{
		"coloured": onTerminal("TERM=xterm"),
		"plain":    onTerminal("TERM=dumb"),
		"JSON": func(_ *testing.T, log func(*slog.Logger)) string {
			var out bytes.Buffer
			log(New(&out, slog.LevelDebug, nil))
			return out.String()
		},
		"journal": func(_ *testing.T, log func(*slog.Logger)) string {
			var j fakeJournal
			log(slog.New(cleanHandler{newJournalHandler(slog.LevelDebug, j.send)}))
			var all strings.Builder
			for _, e := range j.entries {
				fmt.Fprintln(&all, e.message)
				for _, name := range slices.Sorted(maps.Keys(e.fields)) {
					fmt.Fprintf(&all, "%s=%s\n", name, e.fields[name])
				}
			}
			return all.String()
		},
		"without the journal": func(_ *testing.T, log func(*slog.Logger)) string {
			var out testlog.Buffer
			gone := func(string, journal.Priority, map[string]string) error { return os.ErrNotExist }
			log(slog.New(cleanHandler{newJournalHandler(slog.LevelDebug, withFallback(&out, gone))}))
			return out.String()
		},
	}
}

// colours are what tint itself writes.
var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// rawControls returns the characters of a log that something could interpret.
func rawControls(log string) []rune {
	var raw []rune
	for line := range strings.SplitSeq(colours.ReplaceAllString(log, ""), "\n") {
		for _, r := range line {
			if r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
				raw = append(raw, r)
			}
		}
	}
	return raw
}

type named string

func (n named) String() string { return string(n) }

type valuer struct{ value any }

func (v valuer) LogValue() slog.Value { return slog.AnyValue(v.value) }

// TestEveryHandlerIsClean holds that no handler writes what a terminal would interpret, nor a
// line more than it was given, wherever the text stands and however it is wrapped.
func TestEveryHandlerIsClean(t *testing.T) {
	doors := map[string]func(*slog.Logger){
		"message":        func(l *slog.Logger) { l.Info(hostile) },
		"string":         func(l *slog.Logger) { l.Info("m", "env", hostile) },
		"error":          func(l *slog.Logger) { l.Info("m", "error", errors.New(hostile)) },
		"agent error":    func(l *slog.Logger) { l.Info("m", "error", &agent.Error{Message: hostile, Environment: hostile}) },
		"stringer":       func(l *slog.Logger) { l.Info("m", "reason", named(hostile)) },
		"slice":          func(l *slog.Logger) { l.Info("m", "environments", []string{hostile, hostile}) },
		"struct":         func(l *slog.Logger) { l.Info("m", "peer", struct{ Exe string }{hostile}) },
		"bytes":          func(l *slog.Logger) { l.Info("m", "body", []byte(hostile)) },
		"value":          func(l *slog.Logger) { l.Info("m", "user", valuer{hostile}) },
		"value of value": func(l *slog.Logger) { l.Info("m", "user", valuer{valuer{errors.New(hostile)}}) },
		"key":            func(l *slog.Logger) { l.Info("m", hostile, 1) },
		"group": func(l *slog.Logger) {
			l.Info("m", slog.Group("http", "path", hostile, slog.Group("in", "host", hostile)))
		},
		"name of group": func(l *slog.Logger) { l.WithGroup(hostile).Info("m", "a", 1) },
		"with":          func(l *slog.Logger) { l.With("socket", hostile, "error", errors.New(hostile)).Info("m") },
		"stack":         func(l *slog.Logger) { l.Error("m", "stack", "main.f("+strings.ReplaceAll(hostile, "\n", "")+")") },
		"quoted":        func(l *slog.Logger) { l.Info("m", "error", fmt.Sprintf("unknown environment %q", hostile)) },
		"spelt out":     func(l *slog.Logger) { l.Info(`m \x1b[2J`, "error", `say \x1b[2J or \u009b2J`) },
		"spelt with": func(l *slog.Logger) {
			l.With("error", `say \x1b[2J`).WithGroup("g").Info("m", `key \x1b[2J`, `\\x1b[2J "`)
		},
		"very long": func(l *slog.Logger) { l.Info("m", "env", strings.Repeat("\x1b[2J", 100_000)) },
	}
	for door, log := range doors {
		for name, write := range handlers() {
			t.Run(door+"/"+name, func(t *testing.T) {
				got := write(t, log)
				if raw := rawControls(got); len(raw) > 0 || !strings.Contains(got, "m") {
					t.Errorf("%U are in %q", raw, got)
				}
				if lines := strings.Count(got, "\n"); lines > 1 && name != "journal" || len(got) > 10_000 {
					t.Errorf("%d lines, %d bytes: %.2000q", lines, len(got), got)
				}
			})
		}
	}
}

// A panic's stack keeps its lines, and what is no text stays what it is.
func TestCleanKeeps(t *testing.T) {
	var j fakeJournal
	slog.New(cleanHandler{newJournalHandler(slog.LevelDebug, j.send)}).Error("m", "stack", "a\n\tb\x1b\n", "n", 7, "ok", true, "none", nil, "key", agent.NewSecret("hunter2"))
	got := j.last(t).fields
	if got["KYC_STACK"] != "a\nb?\n" || got["KYC_N"] != "7" || got["KYC_OK"] != "true" || got["KYC_NONE"] != "<nil>" || got["KYC_KEY"] != "[redacted]" {
		t.Errorf("%q", got)
	}
}
