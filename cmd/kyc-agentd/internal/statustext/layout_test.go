package statustext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// fits fails the test if a line is wider than the terminal although it has a place to break.
func fits(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.TrimLeft(line, " ")
		if utf8.RuneCountInString(line) > width && strings.Contains(words, " ") && !strings.HasPrefix(words, "run: ") {
			t.Errorf("%d columns: %q", width, line)
		}
	}
}

func TestTable(t *testing.T) {
	table := Table{
		Header: []string{"ENVIRONMENT", "STATE", "SIGN-IN ENDS"},
		Rows:   [][]string{{"staging (default)", "fresh", "in 2d2h"}, {"prod", "absent", "-"}},
	}
	const wide = "ENVIRONMENT        STATE   SIGN-IN ENDS\nstaging (default)  fresh   in 2d2h\nprod               absent  -\n"
	const narrow = "staging (default)\n  state         fresh\n  sign-in ends  in 2d2h\nprod\n  state         absent\n"
	for width, want := range map[int]string{0: wide, 39: wide, 38: narrow, 25: narrow} {
		var b strings.Builder
		if err := table.Write(&b, width); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		line  string
		width int
		want  string
	}{
		{"short", 40, "short"},
		{"no width is known here at all", 0, "no width is known here at all"},
		{"one two three four", 9, "one two\n  three\n  four"},
		{"    indented text that is long", 20, "    indented text\n  that is long"},
		{"not signed in; run: kyc-agentd login production", 30, "not signed in;\n  run: kyc-agentd login production"},
		{"a /path/that/is/longer/than/the/line b", 12, "a\n  /path/that/is/longer/than/the/line\n  b"},
		{"ä ö ü ß", 5, "ä ö ü\n  ß"},
	}
	for _, tt := range tests {
		got := Wrap(tt.line, tt.width, 2)
		if got != tt.want {
			t.Errorf("%q in %d columns: %q, want %q", tt.line, tt.width, got, tt.want)
		}
		if tt.width > 0 {
			fits(t, got, tt.width)
		}
		if again := strings.Join(strings.Fields(got), " "); again != strings.Join(strings.Fields(tt.line), " ") {
			t.Errorf("%q lost something", got)
		}
	}
}
