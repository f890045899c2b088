//go:build unix

package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

func open(t *testing.T) (dir string, root *os.Root) {
	t.Helper()
	dir = t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return dir, root
}

func TestReplace(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // as the unit sets it: it must not change the mode
	dir, root := open(t)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, "name")); err != nil {
		t.Fatal(err)
	}
	for _, perm := range []fs.FileMode{0o600, 0o640, 0o440, 0o400} {
		text := "text " + perm.String()
		if err := durable.Replace(root, "name", ".new-", []byte(text), perm); err != nil {
			t.Fatal(err)
		}
		info, err := root.Lstat("name")
		if err != nil || info.Mode() != perm {
			t.Errorf("%v %v, want mode %s", info, err, perm)
		}
		if got, err := root.ReadFile("name"); err != nil || string(got) != text {
			t.Errorf("%q %v, want %q", got, err, text)
		}
	}
	if got, _ := os.ReadFile(elsewhere); string(got) != "untouched" {
		t.Errorf("the link was followed: %q", got)
	}
	if err := durable.SyncDir(root); err != nil {
		t.Error(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("%v %v, want one file", names, err)
	}
}

func TestReplaceThatFailsLeavesNothing(t *testing.T) {
	dir, root := open(t)
	if err := os.Mkdir(filepath.Join(dir, "name"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(root, "name", ".new-", []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if names, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(names) != 0 {
		t.Errorf("%q are left", names)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	_, root := open(t)
	if err := durable.Create(root, "key", []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.Create(root, "key", []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if got, err := root.ReadFile("key"); err != nil || string(got) != "first" {
		t.Errorf("%q %v", got, err)
	}
}
