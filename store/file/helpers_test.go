//go:build unix

package file_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/store/file"
)

func newHybrid(t *testing.T) age.Identity {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newX25519(t *testing.T) age.Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newPrivateDir makes a folder that only the owner can open; others can open the one
// that t.TempDir makes.
func newPrivateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	chmod(t, dir, 0o700)
	return dir
}

func open(t *testing.T, dir string, ids ...age.Identity) *file.Store {
	t.Helper()
	s, err := file.Open(dir, ids...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func reopen(t *testing.T, old *file.Store, ids ...age.Identity) *file.Store {
	t.Helper()
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, old.Describe().Detail, ids...)
}

func put(t *testing.T, s *file.Store, key string, value []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, value); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

func want(t *testing.T, s *file.Store, key, value string) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil || string(got) != value {
		t.Fatalf("Get(%q) = %.40q, %v; want %.40q", key, got, err, value)
	}
}

// wantError checks that err is one line that contains text.
func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("error = %v; want one line with %q", err, text)
	}
}

func writeFile(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, mode)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readFolder(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.Rename(from, to)); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func getenv(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

func itoa(n int) string { return strconv.Itoa(n) }
