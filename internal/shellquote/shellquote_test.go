package shellquote

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

var rows = []struct{ in, want string }{
	{"/run/user/1000/kyc-agent/agent.sock", "/run/user/1000/kyc-agent/agent.sock"},
	{"a-1.y_z+2:3@b,c", "a-1.y_z+2:3@b,c"},
	{"eyJhbGciOi.eyJ1.sig-_", "eyJhbGciOi.eyJ1.sig-_"},
	{"", "''"},
	{"a b", "'a b'"},
	{"a'b", `'a'\''b'`},
	{"'", `''\'''`},
	{"$x", "'$x'"},
	{"`id`", "'`id`'"},
	{`a\b"c`, `'a\b"c'`},
	{"a;b&c|d>e<f", "'a;b&c|d>e<f'"},
	{"*?[a]{b,c}", "'*?[a]{b,c}'"},
	{"~", "'~'"},
	{"=ls", "'=ls'"},
	{"%1", "'%1'"},
	{"#x", "'#x'"},
	{"!x", "'!x'"},
	{"a\nb\t\r", "'a\nb\t\r'"},
	{"\x1b[2J", "'\x1b[2J'"},
	{"päss", "'päss'"},
	{"\xff", "'\xff'"},
	{"\ufffd", "'\ufffd'"},
}

func TestQuote(t *testing.T) {
	for _, row := range rows {
		if got := Quote(row.in); got != row.want {
			t.Errorf("%q gives %s, want %s", row.in, got, row.want)
		}
	}
}

// TestShells holds that a shell reads each word as it was: the table, and every byte
// alone, beside a letter and beside a quote.
func TestShells(t *testing.T) {
	var words []string
	for _, row := range rows {
		words = append(words, row.in)
	}
	for b := 1; b <= 0xff; b++ {
		s := string([]byte{byte(b)})
		words = append(words, s, "x"+s, s+"x", s+s, "'"+s, s+"'")
	}
	for _, shell := range [][]string{{"sh"}, {"bash"}, {"bash", "--posix"}, {"zsh"}} {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			var script strings.Builder
			script.WriteString(`printf '%s\0'`)
			for _, word := range words {
				script.WriteString(" " + Quote(word))
			}
			cmd := exec.Command(testpeer.Program(t, shell[0], shell[0]), append(shell[1:], "-c", script.String())...)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
			if len(got) != len(words) {
				t.Fatalf("%d words, want %d", len(got), len(words))
			}
			for i, word := range words {
				if got[i] != word {
					t.Errorf("%s is %q, want %q", Quote(word), got[i], word)
				}
			}
		})
	}
}
