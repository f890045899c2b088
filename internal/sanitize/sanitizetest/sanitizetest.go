// Package sanitizetest holds the table of package sanitize, for each implementation
// of its rule: the package's own and the copy in kyc-token.
package sanitizetest

import (
	"strings"
	"testing"
)

var rows = []struct{ name, in, want string }{
	{"nothing", "", ""},
	{"ASCII", `prod: "a b" isn't <c> & ~d\e`, `prod: "a b" isn't <c> & ~d\e`},
	{"names in other scripts", "Žofie Çelik 山田太郎 Αλέξης Ольга עינת جمال ประเสริฐ", "Žofie Çelik 山田太郎 Αλέξης Ольга עינת جمال ประเสริฐ"},
	{"a combining mark", "Zoe\u0308", "Zoe\u0308"},
	{"joiners: Persian, Sinhala, an emoji", "می\u200cخواهم ශ\u200dරී 👩\u200d💻", "می\u200cخواهم ශ\u200dරී 👩\u200d💻"},
	{"an emoji with a variation selector", "❤\ufe0f 🔑 …", "❤\ufe0f 🔑 …"},
	{"blanks that do not break", "山田\u3000太郎 10\u00a0%", "山田\u3000太郎 10\u00a0%"},
	{"two blanks, as in a path", "/a  b", "/a  b"},

	{"white space at the ends", " \t\r\n\u2028\u3000a\u00a0\n", "a"},
	{"white space alone", "\n\u2029 \t", ""},
	{"a tab", "a\tb", "a b"},
	{"a line feed", "a\nb", "a b"},
	{"CR LF", "a\r\nb", "a  b"},
	{"vertical tab and form feed", "a\vb\fc", "a b c"},
	{"a next line of C1", "a\u0085b", "a b"},
	{"a line separator", "a\u2028b", "a b"},
	{"a paragraph separator", "a\u2029b", "a b"},

	{"NUL, BEL, BS and unit separator", "a\x00b\ac\bd\x1fe", "a?b?c?d?e"},
	{"a control at each end", "\x00a\x00", "?a?"},
	{"clearing the screen", "a\x1b[2Jb", "a?[2Jb"},
	{"setting the title", "a\x1b]0;owned\x07b", "a?]0;owned?b"},
	{"DEL", "a\x7fb", "a?b"},
	{"CSI and OSC of C1", "a\u009b2Jb\u009d0;c\u009cd", "a?2Jb?0;c?d"},

	{"embeddings and overrides", "a\u202ab\u202bc\u202cd\u202de\u202ef", "a?b?c?d?e?f"},
	{"isolates", "a\u2066b\u2067c\u2068d\u2069e", "a?b?c?d?e"},
	{"marks of a direction", "a\u200eb\u200fc\u061cd", "a?b?c?d"},
	{"a soft hyphen, a zero-width space and a word joiner", "a\u00adb\u200bc\u2060d", "a?b?c?d"},
	{"a byte order mark", "\ufeffa", "?a"},
	{"a language tag", "a\U000e0001\U000e0065b", "a??b"},
	{"interlinear annotation", "a\ufff9b\ufffac\ufffbd", "a?b?c?d"},
	{"private use", "a\ue0b0b", "a?b"},
	{"not a character", "a\uffffb\U0010ffffc", "a?b?c"},
	{"not assigned", "a\u0378b", "a?b"},

	{"a byte that is not UTF-8", "a\xffb", "a?b"},
	{"two such bytes", "a\x80\xfeb", "a??b"},
	{"CSI as a single byte", "a\x9b2Jb", "a?2Jb"},
	{"half a character", "a\xe2\x80", "a??"},
	{"a surrogate", "a\xed\xa0\x80b", "a???b"},
	{"an overlong newline", "a\xc0\x8ab", "a??b"},
	{"what stands for such a byte", "a\ufffdb", "a?b"},

	{"a forged line", "denied\r\nkyc-token: signed in", "denied  kyc-token: signed in"},
	{"a forged header", "soon\r\nKyc-Environment: prod", "soon  Kyc-Environment: prod"},
	{"much of it", strings.Repeat("ü\x1b", 5000), strings.Repeat("ü?", 5000)},
}

// OneLine tests an implementation of sanitize.OneLine.
func OneLine(t *testing.T, oneLine func(string) string) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := oneLine(row.in)
			if got != row.want {
				t.Errorf("%.99q gives %.99q, want %.99q", row.in, got, row.want)
			}
			if again := oneLine(got); again != got {
				t.Errorf("%.99q gives %.99q, and that gives %.99q", row.in, got, again)
			}
		})
	}
}
