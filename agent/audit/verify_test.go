package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// A sample is a log of 12 lines in batches of 3, and what was known while it was written.
type sample struct {
	t     *testing.T
	dir   string
	key   FirstKey
	heads []Head
}

// newSample writes one, with a key or without.
func newSample(t *testing.T, keyed bool) *sample {
	t.Helper()
	s := &sample{t: t, dir: t.TempDir()}
	if keyed {
		key, err := Init(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		s.key = key
	}
	for range 4 {
		s.write(3)
	}
	return s
}

// write writes a batch, as an agent does that was just started.
func (s *sample) write(lines int) {
	s.t.Helper()
	w := &writer{dir: s.dir, maxFile: maxFile, maxKept: maxKept}
	defer w.close()
	h, _, err := w.append(batch{entries: events(lines)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.heads = append(s.heads, Head{h.chain, h.n, hex.EncodeToString(h.hash[:]), Path(s.dir)})
}

func events(n int) (all []entry) {
	for i := range n {
		all = append(all, entry{Event: Event{Kind: Token, Time: time.Unix(1e9+int64(i), 0), Environment: "prod", User: "ana", Peer: NewPeer(Peer{PID: 4711, UID: 1000, Exe: "/usr/bin/curl"})}})
	}
	return all
}

func (s *sample) read() []string {
	s.t.Helper()
	raw, err := os.ReadFile(Path(s.dir))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n")
}

// replace writes the file anew, without the agent.
func (s *sample) replace(lines []string) {
	s.t.Helper()
	text := strings.TrimSuffix(strings.Join(lines, ""), "\n") + "\n"
	if err := os.WriteFile(Path(s.dir), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sample) state() []byte {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, stateName))
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

func (s *sample) setState(raw []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, stateName), raw, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// rewrite makes a chain of its own of lines, with what audit.state has: all that somebody can do
// who has become this user.
func (s *sample) rewrite(lines []Line) {
	s.t.Helper()
	st, err := parseState(s.state())
	if err != nil {
		s.t.Fatal(err)
	}
	key := st.key
	st.head = head{chain: st.chain, key: key}
	var b bytes.Buffer
	for _, l := range lines {
		if err := st.next(&b, l); err != nil {
			s.t.Fatal(err)
		}
	}
	st.size = int64(b.Len())
	s.replace([]string{b.String()})
	s.setState(st.encode())
}

func (s *sample) lines() (all []Line) {
	s.t.Helper()
	for _, raw := range s.read() {
		l, err := parseLine([]byte(strings.TrimSuffix(raw, "\n")))
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// verify returns the problems in one text.
func (s *sample) verify(keyed, heads bool) string {
	s.t.Helper()
	var o VerifyOptions
	if keyed {
		o.Keys = []FirstKey{s.key}
	}
	if heads {
		o.Heads = s.heads
	}
	r, err := Verify(s.dir, o)
	if err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintf(&all, "%s:%d: %s\n", p.File, p.Line, p.What)
	}
	return all.String()
}

// TestVerify is the table of docs/audit.md: what is found without anything, with the first key,
// and with the daemon's log as well. "" is not found, and is why the document says so.
func TestVerify(t *testing.T) {
	const nothing = ""
	tests := []struct {
		name   string
		tamper func(s *sample)
		// What is found without a key, with it, and with the heads alone.
		plain, keyed, heads string
	}{
		{"nothing", func(*sample) {}, nothing, nothing, nothing},
		{"a line edited", func(s *sample) {
			l := s.read()
			l[4] = strings.Replace(l[4], "ana", "eve", 1)
			s.replace(l)
		}, "audit.jsonl:6: line 6 does not have the hash of the line before", "audit.jsonl:5: line 5 has a wrong MAC", "audit.jsonl:6: line 6 does not have the hash"},
		{"the last line edited", func(s *sample) {
			l := s.read()
			l[11] = strings.Replace(l[11], "ana", "eve", 1)
			s.replace(l)
		}, "audit.jsonl:12: line 12 is not the one that audit.state has", "audit.jsonl:12: line 12 has a wrong MAC", "audit.jsonl:12: line 12 is not the one that the daemon's log has"},
		{"the chain of a line edited", func(s *sample) {
			l := s.read()
			l[4] = strings.Replace(l[4], s.lines()[4].Chain, "0badc0de", 1)
			s.replace(l)
		}, "audit.jsonl:5: line 5 of chain 0badc0de follows line 4 of chain", "none of the keys is its", "audit.jsonl:6: line 6 of chain"},
		{"the hash in a line edited", func(s *sample) {
			l := s.read()
			l[4] = strings.Replace(l[4], s.lines()[4].Prev, strings.Repeat("0", 64), 1)
			s.replace(l)
		}, "audit.jsonl:5: line 5 does not have the hash of the line before", "audit.jsonl:5: line 5 has a wrong MAC", "line 5 does not have the hash"},
		{"the MAC in a line put there from another", func(s *sample) { // without a key there is none
			l, lines := s.read(), s.lines()
			l[4] = strings.Replace(l[4], lines[4].MAC, lines[5].MAC, 1)
			s.replace(l)
		}, nothing, "audit.jsonl:5: line 5 has a wrong MAC", nothing},
		{"a line removed", func(s *sample) {
			l := s.read()
			s.replace(append(l[:4:4], l[5:]...))
		}, "audit.jsonl:5: line 6 follows line 4: 1 are missing", "line 6 follows line 4: 1 are missing", "line 6 follows line 4: 1 are missing"},
		{"the first lines removed", func(s *sample) { s.replace(s.read()[2:]) },
			"audit.jsonl:1: the log begins with line 3, and the agent has not removed those before", "begins with line 3", "begins with line 3"},
		{"two lines exchanged", func(s *sample) {
			l := s.read()
			l[4], l[5] = l[5], l[4]
			s.replace(l)
		}, "audit.jsonl:5: line 6 follows line 4", "audit.jsonl:6: line 5 follows line 6: lines were put in another order", "line 6 follows line 4"},
		{"a line twice", func(s *sample) {
			l := s.read()
			s.replace(append(l[:5:5], l[4:]...))
		}, "audit.jsonl:6: line 5 follows line 5: lines were put in another order, or are there twice", "line 5 follows line 5", "line 5 follows line 5"},
		{"the end cut off", func(s *sample) { s.replace(s.read()[:9]) },
			"the agent has written up to line 12 of chain", "the agent has written up to line 12", "the daemon's log knows line 12"},
		{"all of it removed", func(s *sample) { _ = os.Remove(Path(s.dir)) },
			"the agent has written up to line 12 of chain", "the agent has written up to line 12", "the daemon's log knows line 12"},
		{"everything removed", func(s *sample) {
			_ = os.Remove(Path(s.dir))
			_ = os.Remove(filepath.Join(s.dir, stateName))
		}, nothing, "there is no line of chain", "the daemon's log knows line 12"},
		{"everything removed, and written on by the agent", func(s *sample) {
			_ = os.Remove(Path(s.dir))
			_ = os.Remove(filepath.Join(s.dir, stateName))
			s.write(1)
		}, nothing, "there is no line of chain", "the daemon's log knows line 12"},
		{"the end cut off, and an old state put back", func(s *sample) {
			lines, state := s.read(), s.state()
			s.write(3)
			s.replace(lines)
			s.setState(state)
		}, nothing, nothing, "the daemon's log knows line 15"},
		{"the end cut off, an old state put back, and written on by the agent", func(s *sample) {
			lines, state := s.read(), s.state()
			s.write(3)
			s.replace(lines)
			s.setState(state)
			heads := s.heads
			s.write(1)
			s.heads = append(heads, s.heads[len(s.heads)-1])
		}, nothing, nothing, "the daemon's log knows line 15"},
		{"lines appended by somebody without the key", func(s *sample) {
			l := s.lines()
			forged := l[11]
			h := head{chain: forged.Chain, n: 12}
			raw := strings.TrimSuffix(s.read()[11], "\n")
			h.hash = sha256.Sum256([]byte(raw))
			var b bytes.Buffer
			if err := h.next(&b, forged); err != nil {
				s.t.Fatal(err)
			}
			s.replace(append(s.read(), "\n"+b.String()))
		}, nothing, "audit.jsonl:13: line 13 has a wrong MAC", nothing},
		{"the chain made anew by this user", func(s *sample) {
			l := s.lines()
			l[4].What.User = "eve"
			s.rewrite(l)
		}, nothing, "audit.jsonl:1: line 1 has a wrong MAC", "line 6 is not the one that the daemon's log has: it was changed"},
		{"the chain made anew by this user, and its heads logged", func(s *sample) {
			l := s.lines()
			l[4].What.User = "eve"
			s.rewrite(l)
			for i, raw := range s.read() {
				hash := sha256.Sum256([]byte(strings.TrimSuffix(raw, "\n")))
				s.heads = append(s.heads, Head{l[i].Chain, l[i].N, hex.EncodeToString(hash[:]), Path(s.dir)})
			}
		}, nothing, "audit.jsonl:1: line 1 has a wrong MAC", "audit.jsonl:6: the daemon's log has two different lines 6"},
		{"a chain without a key begun", func(s *sample) {
			_ = os.Remove(filepath.Join(s.dir, stateName))
			s.write(1)
		}, nothing, "begins, and none of the keys is its", nothing},
		{"text that is no line", func(s *sample) { s.replace(append(s.read(), "\nrubbish\n")) },
			"audit.jsonl:13: it is not JSON", "audit.jsonl:13: it is not JSON", "audit.jsonl:13: it is not JSON"},
		{"an unknown field", func(s *sample) {
			l := s.read()
			l[4] = strings.Replace(l[4], `"event"`, `"x":1,"event"`, 1)
			s.replace(l)
		}, "audit.jsonl:5: it is not a line of this log", "not a line of this log", "not a line of this log"},
		{"half a line at the end", func(s *sample) {
			l := s.read()
			s.replace(append(l[:11:11], l[11][:40]))
		}, "audit.jsonl:12: it is not JSON", "it is not JSON", "it is not JSON"},
		// Somebody who has become this user can use the key of the next line: what is written from
		// then on proves nothing. That is what no check can find.
		{"a line that this user wrote with the key of the next line", func(s *sample) {
			st, err := parseState(s.state())
			if err != nil {
				s.t.Fatal(err)
			}
			var b bytes.Buffer
			if err := st.next(&b, events(1)[0].line()); err != nil {
				s.t.Fatal(err)
			}
			s.replace(append(s.read(), "\n"+b.String()))
			st.size += int64(b.Len())
			s.setState(st.encode())
		}, nothing, nothing, nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range []struct {
				how          string
				keyed, heads bool
				want         string
			}{{"without a key", false, false, tt.plain}, {"with the key", true, false, tt.keyed}, {"with the daemon's log", false, true, tt.heads}} {
				s := newSample(t, c.keyed)
				tt.tamper(s)
				got := s.verify(c.keyed, c.heads)
				if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
					t.Errorf("%s: got %q, want %q", c.how, got, c.want)
				}
			}
		})
	}
}

// Somebody who reads audit.state has the key of the next line, and of none before it.
func TestKeyOfThePastIsNotThere(t *testing.T) {
	s := newSample(t, true)
	key := s.key.first()
	for i := range 12 {
		if bytes.Contains(s.state(), []byte(hex.EncodeToString(key[:]))) {
			t.Errorf("audit.state has the key of line %d", i+1)
		}
		key.advance()
	}
	if !bytes.Contains(s.state(), []byte(hex.EncodeToString(key[:]))) {
		t.Error("audit.state has not the key of line 13")
	}
	if _, err := os.Lstat(filepath.Join(s.dir, firstName)); err == nil {
		t.Error("the first key is still there")
	}
}

func TestVerifyWithAnotherKey(t *testing.T) {
	s := newSample(t, true)
	s.key = newFirstKey()
	if got := s.verify(true, false); !strings.Contains(got, "there is no line of chain") {
		t.Errorf("got %q", got)
	}
}

func TestFirstKeyAsText(t *testing.T) {
	key := newFirstKey()
	for _, text := range []string{key.String(), strings.ToLower(key.String()), strings.ReplaceAll(key.String(), "-", ""), " " + key.String() + "\n"} {
		if got, err := ParseFirstKey(text); err != nil || got != key {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "ABCD", key.String() + "AAAA", strings.Replace(key.String(), "-", "1", 1), "Correct-horse-8"} {
		if _, err := ParseFirstKey(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// A second chain with a key, after the first: each key proves its own.
func TestTwoChains(t *testing.T) {
	s := newSample(t, true)
	second, err := Init(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.write(3)
	r, err := Verify(s.dir, VerifyOptions{Keys: []FirstKey{s.key, second}, Heads: s.heads})
	if err != nil || len(r.Problems) != 0 || r.Keyed != 15 || r.Lines != 15 || r.Files != 2 || r.Heads != 5 {
		t.Errorf("%+v %v", r, err)
	}
	if got := s.verify(true, false); !strings.Contains(got, "begins, and none of the keys is its") {
		t.Errorf("with the first key alone: %q", got)
	}
}

func TestLineHasNoToken(t *testing.T) {
	const payload = `eyJqdGkiOiJhYmMtMTIzIiwic3ViIjoieCJ9` // {"jti":"abc-123","sub":"x"}
	token := "eyJhbGciOiJSUzI1NiJ9." + payload + "." + strings.Repeat("s", 340) + "THEEND"
	for _, tt := range []struct{ token, jti, end string }{
		{token, "abc-123", "THEEND"},
		{"sk_live_0123456789abcdef", "", "def"},
		{"sk_short", "", ""},
		{"", "", ""},
	} {
		if jti, end := describeToken(tt.token); jti != tt.jti || end != tt.end {
			t.Errorf("%q: %q %q", tt.token, jti, end)
		}
	}
	dir := t.TempDir()
	l := Open(Options{Dir: dir, Mode: On})
	_ = l.Record(t.Context(), Event{Kind: Token, Environment: "prod", Token: agent.NewSecret(token)})
	_ = l.Record(t.Context(), Event{Kind: Token, Environment: "prod", Token: agent.NewSecret(token)})
	l.Close(t.Context(), Event{})
	raw, err := os.ReadFile(Path(dir))
	if err != nil || bytes.Contains(raw, []byte(payload)) || bytes.Contains(raw, []byte("ssssssss")) || bytes.Count(raw, []byte(`"jti":"abc-123","end":"THEEND"`)) != 2 {
		t.Errorf("%s %v", raw, err)
	}
}

// The daemon's log is shorter than the audit log: journald removes old entries, and keeps no new
// ones once its configuration is changed.
func TestVerifyWithSomeHeads(t *testing.T) {
	s := newSample(t, false)
	w := &writer{dir: s.dir, maxFile: maxFile, maxKept: maxKept}
	defer w.close()
	late := events(1)
	late[0].Time = late[0].Time.Add(time.Hour)
	h, _, err := w.append(batch{entries: late})
	if err != nil {
		t.Fatal(err)
	}
	newest := Head{h.chain, h.n, hex.EncodeToString(h.hash[:]), Path(s.dir)}
	r, err := Verify(s.dir, VerifyOptions{Heads: []Head{newest}})
	if err != nil || len(r.Problems) != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "the daemon's log has no head before line 13, of 2001-09-09T02:46:40Z: ") {
		t.Errorf("%+v %v", r, err)
	}
	r, err = Verify(s.dir, VerifyOptions{Heads: append(s.heads, newest)})
	if err != nil || len(r.Problems) != 0 || strings.Contains(strings.Join(r.Notes, "\n"), "has no head") {
		t.Errorf("with all of them: %+v %v", r, err)
	}
	r, err = Verify(s.dir, VerifyOptions{Heads: s.heads})
	if err != nil || len(r.Problems) != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "the daemon's log has no head after line 12, of 2001-09-09T01:46:42Z: ") {
		t.Errorf("without the newest: %+v %v", r, err)
	}
}

// The daemon's log has the heads of another log, too, and older ones than a log whose oldest
// files were removed.
func TestVerifyWithOtherHeads(t *testing.T) {
	s := newSample(t, false)
	other := Head{"0badc0de", 900, strings.Repeat("0", 64), "/elsewhere/audit.jsonl"}
	s.heads = append(append([]Head{other}, s.heads...), other)
	if got := s.verify(false, true); got != "" {
		t.Errorf("of another log: %s", got)
	}
	ended := other
	ended.File = Path(s.dir)
	s.heads[0] = ended
	if got := s.verify(false, true); !strings.Contains(got, "knows line 900 of chain 0badc0de") {
		t.Errorf("of a chain that is gone: %q", got)
	}
}

// What the agent itself has removed, to stay within its size, is not missing: not even a whole
// chain.
func TestVerifyAfterTheOldestWereRemoved(t *testing.T) {
	s := newSample(t, false)
	if _, err := Init(s.dir); err != nil {
		t.Fatal(err)
	}
	w := &writer{dir: s.dir, maxFile: 4 << 10, maxKept: 16 << 10}
	defer w.close()
	for range 100 {
		h, _, err := w.append(batch{entries: events(1)})
		if err != nil {
			t.Fatal(err)
		}
		s.heads = append(s.heads, Head{h.chain, h.n, hex.EncodeToString(h.hash[:]), Path(s.dir)})
	}
	if got := s.verify(false, true); got != "" {
		t.Error(got)
	}
	if first := s.lines()[0]; first.N == 1 {
		t.Errorf("nothing was removed: the log begins with %s", first)
	}
}
