package marker

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestNotes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "kyc-agent")
	d := New(path)
	if _, ok := d.Begun("prod"); ok {
		t.Error("begun before it began")
	}
	before := time.Now().Add(-time.Second)
	for range 100 { // the newest wish counts
		d.End("prod")
		d.Begin("prod")
	}
	d.Flush()
	began, ok := New(path).Begun("prod")
	if !ok || began.Before(before) || began.After(time.Now()) {
		t.Errorf("began %s, %t", began, ok)
	}
	if _, ok := d.Begun("staging"); ok {
		t.Error("another one began")
	}
	if info, err := os.Stat(filepath.Join(path, "prod"+suffix)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	d.Begin("prod")
	d.End("prod")
	d.Flush()
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestDamagedNotes(t *testing.T) {
	path := t.TempDir()
	file := filepath.Join(path, "prod"+suffix)
	written := time.Now().Add(-time.Minute).Truncate(time.Second)
	for _, content := range []string{"", "2026-", "yesterday\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, written, written); err != nil {
			t.Fatal(err)
		}
		if began, ok := New(path).Begun("prod"); !ok || !began.Equal(written) {
			t.Errorf("%q: began %s, %t, want the time of the file", content, began, ok)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, ok := New(path).Begun("prod"); ok {
		t.Error("a folder is a note")
	}
}

func TestWithoutAFolder(t *testing.T) {
	d := New("")
	d.Begin("prod")
	d.Flush()
	if _, ok := d.Begun("prod"); ok {
		t.Error("begun nowhere")
	}
	d.End("prod")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d = New(file) // no folder can be made there
	d.Begin("prod")
	d.Flush()
	if _, ok := d.Begun("prod"); ok {
		t.Error("begun in a file")
	}
}

// TestHangs checks that nobody waits longer than limit for a write that hangs.
func TestHangs(t *testing.T) {
	d := New(t.TempDir())
	d.mu.Lock()
	d.notes["prod"] = &note{running: true} // as it looks while a write hangs
	d.mu.Unlock()
	began := time.Now()
	d.Begin("prod")
	d.End("prod")
	if took := time.Since(began); took > limit {
		t.Errorf("a caller waited %s", took)
	}
	d.Flush()
	if took := time.Since(began); took < limit || took > limit+5*time.Second {
		t.Errorf("Flush took %s", took)
	}
}
