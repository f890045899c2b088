package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/creack/pty"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// An entry is what the journal was sent.
type entry struct {
	message  string
	priority journal.Priority
	fields   map[string]string
}

type fakeJournal struct {
	mu      sync.Mutex
	entries []entry
}

func (j *fakeJournal) send(message string, p journal.Priority, fields map[string]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry{message, p, maps.Clone(fields)})
	return nil
}

func (j *fakeJournal) last(t *testing.T) entry {
	t.Helper()
	if len(j.entries) == 0 {
		t.Fatal("nothing was sent")
	}
	return j.entries[len(j.entries)-1]
}

func TestJournalEntries(t *testing.T) {
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want entry
	}{
		{"plain", func(l *slog.Logger) { l.Info("ready") }, entry{"ready", journal.PriInfo, map[string]string{}}},
		{
			"fields", func(l *slog.Logger) {
				l.Warn("request", "op", "token", "env", "prod", "code", "unavailable", "duration", 3*time.Millisecond, "pid", 7, "exe", "/usr/bin/curl", "error", "no route")
			},
			entry{
				`request op=token env=prod code=unavailable duration=3ms pid=7 exe=/usr/bin/curl error="no route"`, journal.PriWarning,
				map[string]string{
					"KYC_OP": "token", "KYC_ENV": "prod", "KYC_CODE": "unavailable", "KYC_DURATION": "3ms",
					"KYC_PID": "7", "KYC_EXE": "/usr/bin/curl", "KYC_ERROR": "no route",
				},
			},
		},
		{
			"groups", func(l *slog.Logger) {
				l.With("a", 1).WithGroup("http").With("code", 502).Error("x", slog.Group("request", "id", "r"), slog.Group("", "flat", true))
			},
			entry{
				"x a=1 http.code=502 http.request.id=r http.flat=true", journal.PriErr,
				map[string]string{"KYC_A": "1", "KYC_HTTP_CODE": "502", "KYC_HTTP_REQUEST_ID": "r", "KYC_HTTP_FLAT": "true"},
			},
		},
		{
			"names", func(l *slog.Logger) { l.Debug("x", "_trusted.é", "v", strings.Repeat("k", 100), "w") },
			entry{
				"x _trusted.é=v " + strings.Repeat("k", 100) + "=w", journal.PriDebug,
				map[string]string{"KYC__TRUSTED__": "v", "KYC_" + strings.Repeat("K", 60): "w"},
			},
		},
		{
			"one line", func(l *slog.Logger) { l.Info("two\nlines\x1b[31m", "error", errors.New("a\nb")) },
			entry{`two lines?[31m error="a b"`, journal.PriInfo, map[string]string{"KYC_ERROR": "a b"}},
		},
		{
			"secrets", func(l *slog.Logger) { l.Info("x", "token", agent.NewSecret("hunter2")) },
			entry{"x token=[redacted]", journal.PriInfo, map[string]string{"KYC_TOKEN": "[redacted]"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var j fakeJournal
			tt.log(slog.New(cleanHandler{newJournalHandler(slog.LevelDebug, j.send)}))
			tt.want.fields["SYSLOG_IDENTIFIER"] = "kyc-agentd"
			got := j.last(t)
			if got.message != tt.want.message || got.priority != tt.want.priority || !maps.Equal(got.fields, tt.want.fields) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// Field names are what journald keeps; it drops an entry's others without a word.
func TestJournalFieldNames(t *testing.T) {
	for _, key := range []string{"", "_", "a b", "ÄÖ", "1", strings.Repeat("x", 300)} {
		name := fieldName(key)
		if len(name) > 64 || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || name[0] == '_' {
			t.Errorf("%q becomes %q", key, name)
		}
	}
}

// Handlers derived from one another must not share what they add.
func TestJournalHandlersAreApart(t *testing.T) {
	var j fakeJournal
	base := slog.New(newJournalHandler(slog.LevelInfo, j.send)).With("a", 1)
	base.With("b", 2).Info("one")
	base.With("c", 3).Info("two")
	if got := j.last(t); got.message != "two a=1 c=3" || got.fields["KYC_B"] != "" {
		t.Errorf("%+v", got)
	}
}

// TestJournalHandlerIsASlogHandler runs the standard library's conformance tests. Time
// is journald's own: of what the tests say about it nothing is at stake here.
func TestJournalHandlerIsASlogHandler(t *testing.T) {
	var j fakeJournal
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		j.entries = nil
		return cleanHandler{newJournalHandler(slog.LevelInfo, j.send)}
	}, func(t *testing.T) map[string]any {
		e := j.last(t)
		words := strings.Fields(e.message)
		result := map[string]any{slog.LevelKey: e.priority, slog.MessageKey: words[0]}
		if !strings.HasSuffix(t.Name(), "zero-time") {
			result[slog.TimeKey] = time.Now()
		}
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			in := result
			path := strings.Split(key, ".")
			for _, group := range path[:len(path)-1] {
				if in[group] == nil {
					in[group] = map[string]any{}
				}
				in = in[group].(map[string]any)
			}
			in[path[len(path)-1]] = value
		}
		return result
	})
}

// A journal that is out of reach costs no line.
func TestLogWithoutTheJournal(t *testing.T) {
	var out bytes.Buffer
	gone := func(string, journal.Priority, map[string]string) error { return os.ErrNotExist }
	slog.New(newJournalHandler(slog.LevelInfo, withFallback(&out, gone))).Warn("no refresh", "env", "prod")
	if out.String() != "<4>no refresh env=prod\n" {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	var j fakeJournal
	slog.New(newJournalHandler(slog.LevelInfo, withFallback(&out, j.send))).Warn("no refresh")
	if out.Len() > 0 || j.last(t).message != "no refresh" {
		t.Errorf("%q, %+v", out.String(), j.entries)
	}
}

func TestJournalLevelChanges(t *testing.T) {
	var level slog.LevelVar
	var j fakeJournal
	h := cleanHandler{newJournalHandler(&level, j.send)}.WithGroup("g").WithAttrs(nil)
	if h.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug at level info")
	}
	level.Set(slog.LevelDebug)
	if !h.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("no debug at level debug")
	}
}

func TestLogIsJSONWhereNobodyLooks(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	log := New(&out, &level, nil)
	log.Debug("hidden")
	level.Set(slog.LevelDebug)
	log.Debug("shown", "env", "prod", "duration", 3*time.Millisecond, "token", agent.NewSecret("hunter2"))
	var record struct{ Msg, Level, Env, Duration, Token string }
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	if record.Msg != "shown" || record.Env != "prod" || record.Duration != "3ms" || record.Token != "[redacted]" {
		t.Errorf("%+v", record)
	}
}

func TestLogIsColouredOnATerminal(t *testing.T) {
	tests := []struct {
		vars     config.Environ
		coloured bool
	}{
		{config.Environ{"TERM=xterm"}, true},
		{config.Environ{"TERM=xterm", "NO_COLOR="}, true}, // no-color.org: "when present and not an empty string"
		{config.Environ{"TERM=xterm", "NO_COLOR=1"}, false},
		{config.Environ{"TERM=dumb"}, false},
	}
	for _, tt := range tests {
		person, program, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		New(program, slog.LevelInfo, tt.vars).Error("broken", "environment", "prod")
		program.Close()
		line := readAll(person)
		person.Close()
		if !strings.Contains(line, "broken") || !strings.Contains(line, "prod") {
			t.Errorf("%s: %q", tt.vars, line)
		}
		if got := strings.Contains(line, "\x1b["); got != tt.coloured {
			t.Errorf("%s: coloured %t: %q", tt.vars, got, line)
		}
	}
}

// readAll reads what a program wrote to its terminal, until it closed it: EIO then.
func readAll(f *os.File) string {
	var b bytes.Buffer
	_, _ = b.ReadFrom(f)
	return b.String()
}
