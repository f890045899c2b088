package sanitize

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/internal/sanitize/sanitizetest"
)

func TestOneLine(t *testing.T) { sanitizetest.OneLine(t, OneLine) }

// Every code point, so that none is forgotten: what stays neither controls a
// terminal nor breaks or reorders a line.
func TestOneLineOfEveryCharacter(t *testing.T) {
	kept := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		got, size := utf8.DecodeRuneInString(strings.TrimSuffix(strings.TrimPrefix(OneLine("<"+string(r)+">"), "<"), ">"))
		joins := r == '\u200c' || r == '\u200d'
		switch {
		case got == r:
			kept++
			if !joins && unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%U stays", r)
			}
		case got != '?' && got != ' ' || size != 1:
			t.Errorf("%U gives %U", r, got)
		case unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P) || joins:
			t.Errorf("%U is lost", r)
		}
	}
	if kept < 100_000 {
		t.Errorf("%d characters stay", kept)
	}
}

func TestShort(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		" to\r\n line\t":         "to line",
		"a\u3000 \u2028 b\u00a0": "a b",
		"esc\x1b[31m":            "esc?[31m",
		"\xff":                   "?",
		"12345678":               "12345678",
		"1234 678":               "1234 678",
		"123456789":              "12345678…",
		"ääääääää":               "ääääääää",
		"äääääääää":              "ääääääää…",
		"1234567\xe2\x80\xa6":    "1234567…",
		"1234567 \n 9":           "1234567 …",
	} {
		if got := Short(in, 8); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 0, ""}, {"a", 0, "…"}, {"a", 1, "a"}, {"ab", 1, "a…"}, {"日本", 1, "日…"}, {"日本", 2, "日本"},
		{"\xff\xfe\xfd", 2, "\xff\xfe…"}, {"a\nb", 2, "a\n…"},
	} {
		if got := Cut(tt.in, tt.n); got != tt.want {
			t.Errorf("%q to %d gives %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

func TestWriter(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"{\n\t\"a\": \"ü\"\r\n}\n": "{\n\t\"a\": \"ü\" \n}\n",
		"\x1b]52;c;eA==\a\u009b2J\u202e\u2028\xffé": "?]52;c;eA==??2J? ?é",
		"  a  ":                    "  a  ",
		"half \xe2\x80":            "half ??",
		"\xe2\xe2\x80\xa6\xf0\x9f": "?…??",
	} {
		for size := 1; size <= 7; size++ {
			var out strings.Builder
			w := &Writer{To: &out}
			for rest := []byte(in); len(rest) > 0; {
				n := min(size, len(rest))
				if written, err := w.Write(rest[:n]); written != n || err != nil {
					t.Fatal(written, err)
				}
				rest = rest[n:]
			}
			if err := w.Close(); err != nil || out.String() != want {
				t.Errorf("%q by %d bytes gives %q, want %q; %v", in, size, out.String(), want, err)
			}
		}
	}
}

// FuzzWriter holds that the pieces in which text arrives do not matter, and that what comes
// out is what OneLine makes of each line.
func FuzzWriter(f *testing.F) {
	f.Add("a\x1b[2J\xff\u202e\nx\tü", uint8(3))
	f.Add("\xe2\x80\xa6\u2028\u009b", uint8(1))
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		var out strings.Builder
		w := &Writer{To: &out}
		for rest := []byte(in); len(rest) > 0; {
			n := min(int(size%16)+1, len(rest))
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
		_ = w.Close()
		var want []string
		for line := range strings.SplitSeq(in, "\n") {
			var cells []string
			for cell := range strings.SplitSeq(line, "\t") {
				cells = append(cells, strings.TrimSuffix(strings.TrimPrefix(OneLine("<"+cell+">"), "<"), ">"))
			}
			want = append(want, strings.Join(cells, "\t"))
		}
		if got := out.String(); got != strings.Join(want, "\n") {
			t.Errorf("%q gives %q, want %q", in, got, strings.Join(want, "\n"))
		}
	})
}

// FuzzOneLine holds that the result is one line that no terminal interprets.
func FuzzOneLine(f *testing.F) {
	f.Add("\x1b[2J\xff\u202e\nx")
	f.Add("a\u200d\u2028 \u061c")
	f.Fuzz(func(t *testing.T, in string) {
		for _, got := range []string{OneLine(in), Short(in, 20)} {
			bad := func(r rune) bool {
				return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == utf8.RuneError
			}
			if !utf8.ValidString(got) || strings.ContainsFunc(got, bad) || OneLine(got) != strings.TrimSpace(got) {
				t.Errorf("%q gives %q", in, got)
			}
		}
		if got := Short(in, 20); utf8.RuneCountInString(got) > 21 {
			t.Errorf("%q gives %q", in, got)
		}
	})
}
