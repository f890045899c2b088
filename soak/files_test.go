package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A file that nobody removes is found, one of a save that runs is not.
func TestCheckFiles(t *testing.T) {
	s := &soak{dir: t.TempDir()}
	for _, folder := range []string{s.stateFolder(), s.path("run")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put := func(age time.Duration, name string) {
		t.Helper()
		path, when := filepath.Join(s.stateFolder(), name), time.Now().Add(-age)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	put(time.Hour, "staging.age")
	put(time.Hour, "audit.jsonl") // an agent that ran writes no line while nobody asks
	put(time.Hour, "audit.lock")
	put(0, ".new-young")
	if err := s.checkFiles(); err != nil {
		t.Error(err)
	}
	put(time.Minute, ".new-old")
	if err := s.checkFiles(); err == nil || !strings.Contains(err.Error(), ".new-old is left behind") {
		t.Errorf("got %v", err)
	}
}

func TestChildren(t *testing.T) {
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("there is no /proc")
	}
	child, err := os.StartProcess("/bin/cat", []string{"cat"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = child.Wait() }()
	defer func() { _ = child.Kill() }()
	if pids := children(os.Getpid()); len(pids) == 0 {
		t.Error("a child is not found")
	}
	if u, err := readUsage(os.Getpid()); err != nil || u.rssMB < 1 || u.threads < 2 || u.fds < 3 || u.waiting < 1 {
		t.Errorf("got %s, %v", u, err)
	}
}
