package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// open opens a log that is closed at the end of the test.
func open(t testing.TB, o Options) *Log {
	t.Helper()
	l := Open(o)
	t.Cleanup(func() { l.Close(context.Background(), Event{}) })
	return l
}

// token is an event of curl's, by the process pid.
func token(pid int) Event {
	return Event{Kind: Token, Environment: "prod", User: "ana", Peer: NewPeer(Peer{PID: pid, UID: 1000, Exe: "/usr/bin/curl"})}
}

func linesOf(t testing.TB, dir string) (all []Line) {
	t.Helper()
	if err := Read(dir, Filter{}, func(_ []byte, l Line) error { all = append(all, l); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func problems(t testing.TB, dir string, o VerifyOptions) string {
	t.Helper()
	r, err := Verify(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range r.Problems {
		all = append(all, p.What)
	}
	return strings.Join(all, "\n")
}

// Repeats of a minute are one line with a count; what a person does is a line each time.
func TestRepeatsAreFolded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := Open(Options{Dir: dir, Mode: On})
		for range 1000 {
			_ = l.Record(t.Context(), token(4711))
		}
		_ = l.Record(t.Context(), token(4712)) // another process
		for range 3 {
			_ = l.Record(t.Context(), Event{Kind: Login, Environment: "prod", User: "ana"})
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if n := len(linesOf(t, dir)); n != 5 {
			t.Errorf("%d lines before the minute is over, want 5", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		_ = l.Record(t.Context(), token(4711)) // goes on: counted until the next minute is over
		l.Close(t.Context(), Event{})
		all := linesOf(t, dir)
		var counts []int
		for _, l := range all {
			if l.Event == Token && l.Who.PID == 4711 {
				counts = append(counts, l.Count)
			}
		}
		if !slices.Equal(counts, []int{0, 999, 1}) || len(all) != 7 {
			t.Errorf("counts %v in %d lines", counts, len(all))
		}
		if l.Status().Dropped != 0 || l.Status().Lines != 7 {
			t.Errorf("%+v", l.Status())
		}
	})
}

// What is part of an answer is part of the key: nothing is hidden in a count.
func TestWhatIsNotFolded(t *testing.T) {
	base := func() Event {
		return Event{Kind: API, Environment: "prod", User: "ana", Method: "GET", Path: "/kyc", Status: 200, Token: agent.NewSecret(strings.Repeat("t", 80)), Peer: NewPeer(Peer{PID: 1, Exe: "/bin/a"})}
	}
	change := map[string]func(*Event){
		"socket": func(e *Event) { e.Socket = "ai" }, "environment": func(e *Event) { e.Environment = "x" }, "user": func(e *Event) { e.User = "eve" },
		"path": func(e *Event) { e.Path = "/x" }, "method": func(e *Event) { e.Method = "POST" }, "status": func(e *Event) { e.Status = 500 },
		"token": func(e *Event) { e.Token = agent.NewSecret(strings.Repeat("u", 80)) }, "peer": func(e *Event) { e.Peer = NewPeer(Peer{PID: 2, Exe: "/bin/a"}) },
		"grant": func(e *Event) { e.Grant = "7F3K" }, "code": func(e *Event) { e.Code = agent.CodeUnavailable }, "kind": func(e *Event) { e.Kind = Token },
	}
	for name, c := range change {
		var f folds
		if _, counted := f.add(new(base())); counted {
			t.Fatal("the first is counted")
		}
		if _, counted := f.add(new(base())); !counted {
			t.Fatal("the second is not counted")
		}
		e := base()
		c(&e)
		if _, counted := f.add(&e); counted {
			t.Errorf("an event with another %s is folded", name)
		}
	}
}

// A script that calls kyc-token 300 times is one program with one parent.
func TestProcessesOfOneParentAreFolded(t *testing.T) {
	var f folds
	lines := 0
	for i := range 300 {
		e := token(1000 + i)
		e.Peer = NewPeer(Peer{PID: 1000 + i, Exe: "/usr/bin/kyc-token", Parents: []Process{{900, "/bin/sh"}}})
		if _, counted := f.add(&e); !counted {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines", lines)
	}
}

// Code in a sandbox cannot push the history out by asking for what it is refused.
func TestRefusalsAreFoldedWhateverTheyAskFor(t *testing.T) {
	var f folds
	peer := NewPeer(Peer{PID: 1, Exe: "/bin/a"})
	lines := 0
	for i := range 1000 {
		if _, counted := f.add(&Event{Kind: Refused, Peer: peer, Path: fmt.Sprintf("/%d", i), Method: fmt.Sprint(i)}); !counted {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines", lines)
	}
}

// More than there is room for is dropped and counted, and nobody waits.
func TestDropsAreCounted(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := Open(Options{Dir: dir, Mode: On})
		_ = l.Record(t.Context(), Event{Kind: Start})
		synctest.Wait() // it is written, and the log pauses
		l.mu.Lock()     // the writer cannot take anything
		for range maxPending {
			l.pending = append(l.pending, entry{Event: Event{Kind: Reload, Time: time.Now()}})
		}
		l.mu.Unlock()
		for range 7 {
			if err := l.Record(t.Context(), Event{Kind: Reload}); err != nil {
				t.Error(err)
			}
		}
		l.Close(t.Context(), Event{})
		all := linesOf(t, dir)
		if len(all) != 1+maxPending || all[1].Dropped != 7 || l.Status().Dropped != 7 {
			t.Errorf("%d lines, the second says %d, status %+v", len(all), all[1].Dropped, l.Status())
		}
		r, err := Verify(dir, VerifyOptions{})
		if err != nil || r.Dropped != 7 || len(r.Problems) != 0 {
			t.Errorf("%+v %v", r, err)
		}
	})
}

func TestOffWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l := open(t, Options{Dir: dir, Mode: Off})
	_ = l.Record(t.Context(), Event{Kind: Start})
	l.Close(t.Context(), Event{})
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
	var none *Log
	if err := none.Record(t.Context(), Event{Kind: Start}); err != nil || none.Mode() != Off {
		t.Error("a nil log", err)
	}
}

// With required, the line of each request is on the disk when Record returns.
func TestRequiredIsALineEach(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, Mode: Required})
	for i := range 5 {
		if err := l.Record(t.Context(), token(4711)); err != nil {
			t.Fatal(err)
		}
		if n := len(linesOf(t, dir)); n != i+1 {
			t.Fatalf("%d lines after %d events", n, i+1)
		}
	}
}

func recordTimed(t *testing.T, l *Log) (time.Duration, error) {
	begun := time.Now()
	err := l.Record(t.Context(), Event{Kind: Reload})
	return time.Since(begun), err
}

// A log that cannot be written: one line that says why and what to do, nothing where lines are
// not required, and none of it once the cause is gone.
func TestFaults(t *testing.T) {
	tests := []struct {
		name          string
		spoil, repair func(dir string) error
		want, hint    string
	}{
		{"a FIFO", func(dir string) error { return syscall.Mkfifo(Path(dir), 0o600) }, func(dir string) error { return os.Remove(Path(dir)) },
			"/audit.jsonl cannot be written: it is not a regular file; remove it", "make it writable"},
		{"a link", func(dir string) error { return os.Symlink("/dev/null", Path(dir)) }, func(dir string) error { return os.Remove(Path(dir)) },
			"/audit.jsonl cannot be written: it is not a regular file; remove it", "make it writable"},
		{"a folder", func(dir string) error { return os.Mkdir(Path(dir), 0o700) }, func(dir string) error { return os.Remove(Path(dir)) },
			"/audit.jsonl cannot be written: it is not a regular file; remove it", "make it writable"},
		{"a state that is a FIFO", func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, stateName), 0o600) }, func(dir string) error { return os.Remove(filepath.Join(dir, stateName)) },
			"/audit.state cannot be written: it is not a regular file; remove it", "make it writable"},
		{"a newer state", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, stateName), []byte(`{"v":2}`), 0o600)
		}, func(dir string) error { return os.Remove(filepath.Join(dir, stateName)) },
			"cannot be written: audit.state: a newer version of kyc-agentd has written it", "install that version again"},
		{"a newer file", func(dir string) error { return os.WriteFile(Path(dir), []byte("{\"v\":2,\"n\":1}\n"), 0o600) }, func(dir string) error { return os.Remove(Path(dir)) },
			"cannot be written: audit.jsonl: a newer version of kyc-agentd has written it", "install that version again"},
		{"a file in the place of the folder", func(dir string) error { _ = os.Remove(dir); return os.WriteFile(dir, nil, 0o600) }, os.Remove,
			"not a directory", "make it writable"},
	}
	for _, tt := range tests {
		for _, mode := range []Mode{On, Required} {
			t.Run(tt.name+", "+string(mode), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "state")
				if err := errors.Join(os.Mkdir(dir, 0o700), tt.spoil(dir)); err != nil {
					t.Fatal(err)
				}
				var log testlog.Buffer
				l := open(t, Options{Dir: dir, Mode: mode, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				took, err := recordTimed(t, l)
				if mode == On && err != nil {
					t.Error(err)
				}
				if mode == Required {
					e, _ := errors.AsType[*agent.Error](err)
					if e == nil || e.Code != agent.CodeUnavailable || !strings.Contains(e.Message, tt.want) || !strings.Contains(e.Hint, tt.hint) || strings.Contains(e.Error(), "\n") {
						t.Errorf("got %v", err)
					}
					for range 4 { // a busy machine may be slow once
						again, _ := recordTimed(t, l)
						took = min(took, again)
					}
					if took > 500*time.Millisecond {
						t.Errorf("it took %s", took)
					}
				}
				l.Close(t.Context(), Event{})
				level := map[Mode]string{On: "level=WARN", Required: "level=ERROR"}[mode]
				if !strings.Contains(log.String(), level) || !strings.Contains(log.String(), tt.hint) {
					t.Errorf("the log says %q", log.String())
				}
				if err := tt.repair(dir); err != nil {
					t.Fatal(err)
				}
				again := open(t, Options{Dir: dir, Mode: mode})
				if err := again.Record(t.Context(), Event{Kind: Reload}); err != nil {
					t.Error("afterwards:", err)
				}
				again.Close(t.Context(), Event{})
				if all := linesOf(t, dir); len(all) != 1 {
					t.Errorf("%d lines afterwards", len(all))
				}
			})
		}
	}
}

// A running log notices what is done to its files, says so in the daemon's log and in the next
// line, and goes on.
func TestFilesThatAreChangedMeanwhile(t *testing.T) {
	rewrite := func(dir string, change func([]byte) []byte) error {
		raw, err := os.ReadFile(Path(dir))
		if err != nil {
			return err
		}
		return os.WriteFile(Path(dir), change(raw), 0o600)
	}
	tests := []struct {
		name   string
		tamper func(dir string) error
		note   string
		found  string // by verify
	}{
		{"deleted", func(dir string) error { return os.Remove(Path(dir)) }, "audit.jsonl, with lines up to 3, was removed", "begins with line 4"},
		{"replaced", func(dir string) error {
			raw, _ := os.ReadFile(Path(dir))
			return errors.Join(os.Remove(Path(dir)), os.WriteFile(Path(dir), raw, 0o600))
		}, "audit.jsonl was replaced by another file of the same size", ""},
		{"cut off", func(dir string) error { return os.Truncate(Path(dir), 100) }, "bytes were cut off from the end", "it is not JSON"},
		{"emptied", func(dir string) error { return os.Truncate(Path(dir), 0) }, "audit.jsonl, with lines up to 3, was removed", "begins with line 4"},
		{"appended to", func(dir string) error {
			return rewrite(dir, func(raw []byte) []byte { return append(raw, "hello\n"...) })
		}, "6 bytes that the agent did not write follow line 3", "it is not JSON"},
		{"half a line appended", func(dir string) error {
			return rewrite(dir, func(raw []byte) []byte { return append(raw, `{"v":1,"n":4,"cha`...) })
		}, "half a line of 17 bytes after line 3 was removed", ""},
		{"state removed", func(dir string) error { return os.Remove(filepath.Join(dir, stateName)) }, "audit.state is missing: a new chain begins after line 3 of chain", ""},
		{"both removed", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, stateName)), os.Remove(Path(dir)))
		}, "the files were removed; the agent had written up to line 3", ""},
		{"folder removed", os.RemoveAll, "the files were removed; the agent had written up to line 3", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			var log testlog.Buffer
			l := open(t, Options{Dir: dir, Mode: Required, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for range 3 {
				if err := l.Record(t.Context(), token(1)); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.tamper(dir); err != nil {
				t.Fatal(err)
			}
			if err := l.Record(t.Context(), token(1)); err != nil {
				t.Fatal(err)
			}
			all := linesOf(t, dir)
			if len(all) == 0 || !strings.Contains(all[len(all)-1].Note, tt.note) {
				t.Errorf("the last line is %+v", all)
			}
			if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, tt.note) {
				t.Errorf("the daemon's log has %q", got)
			}
			if got := problems(t, dir, VerifyOptions{}); (got == "") != (tt.found == "") || !strings.Contains(got, tt.found) {
				t.Errorf("verify found %q, want %q", got, tt.found)
			}
		})
	}
}

// Old files put back under a running agent: its next line does not follow them.
func TestOldFilesPutBackMeanwhile(t *testing.T) {
	dir := t.TempDir()
	key, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, Options{Dir: dir, Mode: Required})
	record := func() {
		t.Helper()
		if err := l.Record(t.Context(), token(1)); err != nil {
			t.Fatal(err)
		}
	}
	record()
	record()
	old := map[string][]byte{}
	for _, name := range []string{logName, stateName} {
		old[name], _ = os.ReadFile(filepath.Join(dir, name))
	}
	record()
	for name, raw := range old {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record()
	if got := problems(t, dir, VerifyOptions{Keys: []FirstKey{key}}); got != "line 4 follows line 2: 1 are missing" {
		t.Errorf("got %q", got)
	}
}

// A kill between the line and the state, and one in the middle of a line.
func TestKilledWriter(t *testing.T) {
	s := newSample(t, true)
	before := s.state()
	s.write(2)
	s.setState(before) // it was not written any more
	s.write(1)
	if got := s.verify(true, true); got != "" {
		t.Errorf("after a kill before the state: %s", got)
	}
	f, err := os.OpenFile(Path(s.dir), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"v":1,"n":16`)
	_ = f.Close()
	s.write(1)
	if got := s.verify(true, true); got != "" {
		t.Errorf("after a kill in a line: %s", got)
	}
	if l := s.lines(); len(l) != 16 || !strings.Contains(l[15].Note, "half a line of 13 bytes") {
		t.Errorf("%d lines, %q", len(l), l[len(l)-1].Note)
	}
}

// Two agents with one folder write one chain.
func TestTwoAgents(t *testing.T) {
	dir := t.TempDir()
	key, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	const each = 60
	var writing sync.WaitGroup
	for range 2 {
		l := open(t, Options{Dir: dir, Mode: Required, MaxFile: 20 << 10})
		for range 3 {
			writing.Go(func() {
				for range each / 3 {
					if err := l.Record(t.Context(), token(1)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	writing.Wait()
	r, err := Verify(dir, VerifyOptions{Keys: []FirstKey{key}})
	if err != nil || len(r.Problems) != 0 || r.Keyed != 2*each || r.Files < 3 {
		t.Errorf("%+v %v", r, err)
	}
	for _, l := range linesOf(t, dir) {
		if l.Note != "" {
			t.Errorf("line %d: %s", l.N, l.Note)
		}
	}
}

// No more is kept than the limit, and the agent's own removal is no problem for verify; somebody
// else's is.
func TestSize(t *testing.T) {
	dir := t.TempDir()
	key, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	const maxFile, maxKept = 16 << 10, 64 << 10
	w := &writer{dir: dir, maxFile: maxFile, maxKept: maxKept}
	defer w.close()
	for range 100 {
		if _, _, err := w.append(batch{entries: events(5)}); err != nil {
			t.Fatal(err)
		}
		if size := sizeOf(t, dir); size > maxKept {
			t.Fatalf("%d bytes are kept", size)
		}
	}
	r, err := Verify(dir, VerifyOptions{Keys: []FirstKey{key}})
	if err != nil || len(r.Problems) != 0 || r.Files < 3 || r.Keyed == 500 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "were removed by the agent") }) {
		t.Errorf("%+v %v", r, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	full, _ := fullFiles(root)
	if err := os.Remove(filepath.Join(dir, fullName(full[0]))); err != nil {
		t.Fatal(err)
	}
	if got := problems(t, dir, VerifyOptions{}); !strings.Contains(got, "and the agent has not removed those before") {
		t.Errorf("the oldest file removed: %q", got)
	}
}

func sizeOf(t testing.TB, dir string) (size int64) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "audit*.jsonl"))
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	s := newSample(t, true)
	if err := os.Chmod(Path(s.dir), 0o644); err != nil { // by somebody's mistake
		t.Fatal(err)
	}
	s.write(1)
	for _, name := range []string{logName, stateName, lockName} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

// A clock that was set back is said, and is no problem: the numbers are the order.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	w := &writer{dir: dir, maxFile: maxFile, maxKept: maxKept}
	defer w.close()
	for _, at := range []int64{2000, 1000} {
		if _, _, err := w.append(batch{entries: []entry{{Event: Event{Kind: Reload, Time: time.Unix(at, 0)}}}}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Verify(dir, VerifyOptions{})
	if err != nil || len(r.Problems) != 0 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasSuffix(n, "the clock was set back by 16m40s") }) {
		t.Errorf("%+v %v", r, err)
	}
}

// Text that a client chose is one line that no terminal interprets, and not a long one.
func TestTextOfClients(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, Mode: Required})
	evil := "a\x1b[2J\nb\"}\u202e\xff" + strings.Repeat("x", 1000)
	err := l.Record(t.Context(), Event{Kind: API, Environment: evil, User: evil, Method: evil, Path: evil, Detail: evil, Grant: evil, Socket: evil,
		Peer: &Peer{Exe: evil, Comm: evil, Unit: evil, Parents: []Process{{1, evil}}}})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(Path(dir))
	if bytes.Count(raw, []byte("\n")) != 1 || len(raw) > 10*maxText+2000 || bytes.ContainsAny(raw, "\x1b\u202e") || problems(t, dir, VerifyOptions{}) != "" {
		t.Errorf("%d bytes: %q", len(raw), raw)
	}
}

// The heads go to the daemon's log with each batch, and where lines are required at most every
// 250 ms.
func TestHeads(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var heads []Head
		l := Open(Options{Dir: dir, Mode: Required, OnHead: func(h Head) { heads = append(heads, h) }})
		for range 100 {
			if err := l.Record(t.Context(), token(1)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(pause)
		synctest.Wait()
		if n := len(heads); n != 2 || heads[n-1].N != 100 {
			t.Errorf("%+v", heads)
		}
		_ = l.Record(t.Context(), token(1))
		l.Close(t.Context(), Event{})
		if n := len(heads); n != 3 || heads[n-1].N != 101 {
			t.Errorf("at the end %+v", heads)
		}
		if got := problems(t, dir, VerifyOptions{Heads: heads}); got != "" {
			t.Error(got)
		}
	})
}

func TestReadHeads(t *testing.T) {
	heads, err := ReadHeads(strings.NewReader(`{"level":"INFO","msg":"ready","n":3}
not json
{"level":"INFO","msg":"audit head","chain":"0a0b0c0d","n":3,"hash":"ff","file":"/s/audit.jsonl"}
{"KYC_CHAIN":"0a0b0c0d","KYC_N":"4","KYC_HASH":"ee","KYC_FILE":"/s/audit.jsonl"}
`))
	if err != nil || !slices.Equal(heads, []Head{{"0a0b0c0d", 3, "ff", "/s/audit.jsonl"}, {"0a0b0c0d", 4, "ee", "/s/audit.jsonl"}}) {
		t.Errorf("%+v %v", heads, err)
	}
}

// TestKindsAreDocumented holds the list of events closed: the code, the document and the list
// above name the same.
func TestKindsAreDocumented(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testpeer.ModuleRoot(), "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	_, table, _ := strings.Cut(string(raw), "| event |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented = append(documented, m[1])
	}
	want := []string{"token", "helper", "aws", "api", "sink", "login", "logout", "lock", "unlock", "asked", "approved", "denied", "refused", "reload", "start", "stop"}
	var kinds []string
	for _, k := range Kinds {
		kinds = append(kinds, string(k))
	}
	if !slices.Equal(kinds, want) || !slices.Equal(documented, want) {
		t.Errorf("Kinds %v\ndocumented %v\nwant %v", kinds, documented, want)
	}
}
