package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Harden cannot be undone, so a process of its own calls it: this test, started again.
func TestHarden(t *testing.T) {
	if os.Getenv("KYC_TEST_HARDEN") != "" {
		reportHardened()
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestHarden$")
	cmd.Env = append(os.Environ(), "KYC_TEST_HARDEN=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{"error <nil>, dumpable 0, umask 0077", "Max core file size 0 0 bytes"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}

// reportHardened does what serve does first, and prints the result.
func reportHardened() {
	err := Harden()
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	umask := unix.Umask(0)
	limits, _ := os.ReadFile("/proc/self/limits")
	fmt.Printf("error %v, dumpable %d, umask %04o\n%s", err, dumpable, umask, limits)
}

// A limit that is already 0 and cannot be set is not an error.
func TestNoCore(t *testing.T) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
		t.Fatal(err)
	}
	if got := noCore(); got != (l.Max == 0) {
		t.Errorf("%t with a limit of %d", got, l.Max)
	}
}
