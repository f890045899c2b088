package tomledit_test

import (
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/tomledit"
)

// Each layout of a file, what is set, and what the file has to be afterwards.
var edits = []struct{ name, before, key, value, after string }{
	{"an empty file", "", "store", `"file"`, "store = \"file\"\n"},
	{"only a comment", "# mine", "store", `"file"`, "# mine\nstore = \"file\"\n"},
	{"a value with a comment", "a = 1\nstore  =  'auto'  # why\nb = 2\n", "store", `"file"`, "a = 1\nstore  =  \"file\"  # why\nb = 2\n"},
	{"the last line has no end", "a = 1", "store", `"file"`, "a = 1\nstore = \"file\"\n"},
	{"a replaced last line has none", "store = 1", "store", `"x"`, `store = "x"`},
	{"CRLF", "a = 1\r\n\r\n[t]\r\nb = 2\r\n", "t.c", "3", "a = 1\r\n\r\n[t]\r\nb = 2\r\nc = 3\r\n"},
	{"CRLF, a new table", "a = 1\r\n", "t.c", "3", "a = 1\r\n\r\n[t]\r\nc = 3\r\n"},
	{"a byte order mark", "\ufeffa = 1\n", "a", "2", "\ufeffa = 2\n"},
	{"a multi-line string", "a = \"\"\"\nstore = 1\n\"\"\" # c\nb = 2\n", "a", `"x"`, "a = \"x\" # c\nb = 2\n"},
	{"a key in a string is none", "a = \"\"\"\nstore = 1\n\"\"\"\n", "store", `"x"`, "a = \"\"\"\nstore = 1\n\"\"\"\nstore = \"x\"\n"},
	{"a list over lines", "a = [\n  1, # one\n  2,\n] # end\n", "a", `["x"]`, "a = [\"x\"] # end\n"},
	{"a key of a table has the same name", "[t]\nstore = 1\n", "store", `"x"`, "store = \"x\"\n\n[t]\nstore = 1\n"},
	{"above the comment of the first table", "# file\n\n# t\n[t]\na = 1\n", "store", `"x"`, "# file\n\nstore = \"x\"\n\n# t\n[t]\na = 1\n"},
	{"an indented table", "[t]\n  a = 1\n\n[u]\n", "t.b", "2", "[t]\n  a = 1\n  b = 2\n\n[u]\n"},
	{"a table without keys", "[t] # c\n# d\n\n[u]\n", "t.b", "2", "[t] # c\nb = 2\n# d\n\n[u]\n"},
	{"a quoted header", "[ e . \"p\" ]\na = 1\n", "e.p.a", "2", "[ e . \"p\" ]\na = 2\n"},
	{"a table above", "[e.p]\na = 1\n\n[e.q]\nb = 1\n", "e.p.c", "2", "[e.p]\na = 1\nc = 2\n\n[e.q]\nb = 1\n"},
	{"dotted keys", "[e]\np.a = 1\nq = 2\n", "e.p.b", "2", "[e]\np.a = 1\np.b = 2\nq = 2\n"},
	{"dotted keys at the root", "e.p.a = 1\n\n[u]\n", "e.p.b", "2", "e.p.a = 1\ne.p.b = 2\n\n[u]\n"},
	{"braces", "[e]\np = { a = 1 } # c\n", "e.p.a", "2", "[e]\np = { a = 2 } # c\n"},
	{"braces get another", "[e]\np = { a = 1 } # c\n", "e.p.b", "2", "[e]\np = { a = 1, b = 2 } # c\n"},
	{"empty braces", "e = {}\n", "e.p.b", "2", "e = { p.b = 2 }\n"},
	{"braces in braces", "e = { p = { a = 1 }, q = { a = 1 } }\n", "e.p.b", "2", "e = { p = { a = 1, b = 2 }, q = { a = 1 } }\n"},
	{"an array of tables at the end", "a = 1\n[[s]]\nx = 1\n[[s]]\nx = 2\n", "e.p.a", "1", "a = 1\n[[s]]\nx = 1\n[[s]]\nx = 2\n\n[e.p]\na = 1\n"},
	{"a root key before an array of tables", "[[s]]\nx = 1\n", "a", "1", "a = 1\n\n[[s]]\nx = 1\n"},
	{"an equals sign in a key", "\"a=b\" = 1\nc = 2\n", "c", "3", "\"a=b\" = 1\nc = 3\n"},
	{"a name that needs quotes", "", "e.ä.a", "1", "[e.\"ä\"]\na = 1\n"},
	{"spaces at the end", "a = 1  \t\n", "a", "2", "a = 2  \t\n"},
	{"a table below", "[e.p.deep]\nx = 1\n", "e.p.a", "1", "[e.p.deep]\nx = 1\n\n[e.p]\na = 1\n"},
}

func TestSet(t *testing.T) {
	for _, e := range edits {
		t.Run(e.name, func(t *testing.T) {
			before := strings.Clone(e.before)
			got, err := tomledit.Set([]byte(e.before), strings.Split(e.key, "."), e.value)
			if err != nil || string(got) != e.after {
				t.Errorf("%v\n%q, want\n%q", err, got, e.after)
			}
			if e.before != before {
				t.Error("the old text was changed")
			}
		})
	}
}

// What cannot be done without damage is refused.
func TestSetRefuses(t *testing.T) {
	for name, e := range map[string]struct{ before, key, value string }{
		"broken before":       {"a = = 1\n", "a", "1"},
		"a value that is two": {"a = 1\n", "a", "1\nb = 2"},
		"no value":            {"a = 1\n", "a", ""},
		"below a value":       {"e = 1\n", "e.p", "1"},
		"below an array":      {"[[s]]\nx = 1\n", "s.y", "1"},
		"not UTF-8":           {"a = 1\n", "a", "'\xff'"},
	} {
		if got, err := tomledit.Set([]byte(e.before), strings.Split(e.key, "."), e.value); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestLine(t *testing.T) {
	text := "\ufeff# c\na = 1\n[e]\np = { b = 1,\n c = 2 }\n[[s]]\nx = 1\n[[s]]\nx = 2\n"
	for key, want := range map[string]int{"a": 2, "e.p.b": 4, "e.p.c": 5, "s.1.x": 7, "s.2.x": 9, "s": 0, "z": 0} {
		if got := tomledit.Line([]byte(text), strings.Split(key, ".")); got != want {
			t.Errorf("%s: line %d, want %d", key, got, want)
		}
	}
}

// Every string comes back as it was.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "a", `"\`, "\x00\x1f\x7f\n\r\t", "ä😀\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		var got map[string]any
		if err := toml.Unmarshal([]byte("a = "+tomledit.String(s)), &got); err != nil || got["a"] != s {
			t.Errorf("%q: %q %v", s, got["a"], err)
		}
	})
}

// Whatever the file is, Set panics never, and changes nothing but the key.
func FuzzSet(f *testing.F) {
	for _, e := range edits {
		f.Add(e.before, e.key)
	}
	f.Fuzz(func(t *testing.T, before, key string) {
		got, err := tomledit.Set([]byte(before), strings.Split(key, "."), `"new"`)
		if err != nil {
			return
		}
		again, err := tomledit.Set(got, strings.Split(key, "."), `"new"`)
		if err != nil || string(again) != string(got) {
			t.Errorf("%q, key %q: %q, then %q, %v", before, key, got, again, err)
		}
	})
}
