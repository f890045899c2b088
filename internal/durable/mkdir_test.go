//go:build unix

package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

func TestMkdirAll(t *testing.T) {
	dir, _ := open(t)
	path := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := durable.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, made := range []string{path, filepath.Dir(path)} {
			if info, err := os.Stat(made); err != nil || info.Mode() != 0o700|os.ModeDir {
				t.Errorf("%s: %v, %v", made, info, err)
			}
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := durable.MkdirAll(path, 0o700); err == nil {
			t.Errorf("%s was made", path)
		}
	}
}
