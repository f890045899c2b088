package logging

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// maxText is the most characters of a message or of an attribute that are logged. What a
// person reads is shorter; what a caller, a server or a file made up may be of any length.
const maxText = 1000

// stackKey is the key of a panic's stack, the one attribute that has several lines. They are
// the program's own.
const stackKey = "stack"

// A cleanHandler cleans every text on its way to the real handler, whichever that is. Names,
// paths and messages from outside reach the log in many places, and the handlers let different
// control characters through: tint even ESC, which runs commands in some terminals.
type cleanHandler struct{ to slog.Handler }

func (h cleanHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.Enabled(ctx, level)
}

func (h cleanHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, cleanText(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(cleanAttr(a))
		return true
	})
	return h.to.Handle(ctx, clean)
}

func (h cleanHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return cleanHandler{h.to.WithAttrs(cleanAttrs(attrs))}
}

func (h cleanHandler) WithGroup(name string) slog.Handler {
	return cleanHandler{h.to.WithGroup(cleanText(name))}
}

func cleanAttrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = cleanAttr(a)
	}
	return clean
}

// cleanAttr makes a string of every value that could have text in it.
func cleanAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(cleanValue(a.Key, v.String()))
	case slog.KindGroup:
		v = slog.GroupValue(cleanAttrs(v.Group())...)
	case slog.KindAny:
		if v.Any() != nil {
			v = slog.StringValue(cleanValue(a.Key, fmt.Sprint(v.Any())))
		}
	}
	return slog.Attr{Key: cleanText(a.Key), Value: v}
}

func cleanValue(key, s string) string {
	if key != stackKey {
		return cleanText(s)
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = cleanText(line)
	}
	return strings.Join(lines, "\n")
}

func cleanText(s string) string {
	return sanitize.Cut(sanitize.OneLine(sanitize.Cut(s, maxText)), maxText)
}

// unescaped is the ReplaceAttr of tint, which makes ESC of the four characters \x1b in a text
// that it quotes: they are in what the daemon itself has quoted for a message.
func unescaped(_ []string, a slog.Attr) slog.Attr {
	spelt := func(s string) string { return strings.ReplaceAll(s, `\x1b`, `\x1B`) }
	a.Key = spelt(a.Key)
	if a.Value.Kind() == slog.KindString {
		a.Value = slog.StringValue(spelt(a.Value.String()))
	}
	return a
}
