package socket

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that has ended and was not waited for shows as little as one whose memory is
// closed to its user, and to root as well.
func TestProgramThatCannotBeSeen(t *testing.T) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"true":                      "true, child of " + self,
		") R 1 (":                   ") R 1 (, child of " + self,
		"a\x1b[2Jb\nc":              "a?[2Jb c, child of " + self,
		"longer than 15 characters": "longer than 15 , child of " + self,
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.Symlink("/bin/true", path); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		if got := (Peer{PID: cmd.Process.Pid}).Program(); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
		_ = cmd.Wait()
	}
	if got := (Peer{PID: 1 << 30}).Program(); got != "" {
		t.Errorf("no such process: %q", got)
	}
}
