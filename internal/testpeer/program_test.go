package testpeer_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// What WriteProgram has written can be run at once, while other goroutines start processes.
func TestWriteProgram(t *testing.T) {
	content := append([]byte("#!/bin/sh\nexit 0\n"), make([]byte, 1<<20)...)
	for range 2 {
		go func() {
			for t.Context().Err() == nil {
				_ = exec.Command("true").Run()
			}
		}()
	}
	for range 100 {
		path := filepath.Join(t.TempDir(), "program")
		if err := testpeer.WriteProgram(path, content, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command(path).Run(); err != nil {
			t.Fatal(err)
		}
	}
}
