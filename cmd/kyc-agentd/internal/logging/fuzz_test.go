package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/lmittmann/tint"
)

// FuzzLog holds that no handler writes a character that a terminal interprets, or a line too
// many, and that JSON stays JSON.
func FuzzLog(f *testing.F) {
	f.Add("request", "env", hostile)
	f.Add(hostile, hostile, `\x1b[2J "`)
	f.Add("m", "stack", "a\n\tb\x1b")
	f.Add("\\x1b", `\`+"\x1b", "\\\\x1b]0;x\\x07 ")
	f.Fuzz(func(t *testing.T, message, key, value string) {
		var coloured, plain, text bytes.Buffer
		var j fakeJournal
		for _, h := range []slog.Handler{
			tint.NewTextHandler(&coloured, &tint.Options{ReplaceAttr: unescaped}), tint.NewTextHandler(&plain, &tint.Options{NoColor: true, ReplaceAttr: unescaped}),
			slog.NewJSONHandler(&text, &slog.HandlerOptions{ReplaceAttr: stringDurations}), newJournalHandler(slog.LevelDebug, j.send),
		} {
			log := slog.New(cleanHandler{h}).With("of", value)
			log.WithGroup(key).Warn(message, key, value, "error", errors.New(value), slog.Group("g", key, fmt.Sprintf("%q", value)))
		}
		for name, got := range map[string]string{"coloured": coloured.String(), "plain": plain.String(), "JSON": text.String(), "journal": j.last(t).message + "\n"} {
			if raw := rawControls(got); len(raw) > 0 || strings.Count(got, "\n") != 1 || len(got) > 50_000 {
				t.Errorf("%s: %U in %q", name, raw, got)
			}
		}
		for name, field := range j.last(t).fields {
			if raw := rawControls(name + "=" + field); len(raw) > 0 {
				t.Errorf("%s: %U in %q", name, raw, field)
			}
		}
		if !json.Valid(text.Bytes()) {
			t.Errorf("no JSON: %q", text.String())
		}
	})
}
