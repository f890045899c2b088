package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func init() { programs["report-hardened"] = reportHardened }

// reportHardened is a program: it does what serve does first, and prints what came of it.
func reportHardened() {
	err := harden()
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	umask := unix.Umask(0)
	limits, _ := os.ReadFile("/proc/self/limits")
	fmt.Printf("error %v, dumpable %d, umask %04o\n%s", err, dumpable, umask, limits)
}

// What harden does cannot be taken back, so a process of its own does it.
func TestHarden(t *testing.T) {
	cmd := kycAgentd()
	cmd.Args[0] = "report-hardened"
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

// The daemon itself has no core dump, soft or hard.
func TestServeHasNoCoreDump(t *testing.T) {
	d := newFixture(t).daemon("--store", "memory")
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0 bytes") {
		t.Errorf("%s", limits)
	}
}

// Where the limit cannot be set because it is 0 already, nothing is wrong.
func TestNoCore(t *testing.T) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
		t.Fatal(err)
	}
	if got := noCore(); got != (l.Max == 0) {
		t.Errorf("%t with a limit of %d", got, l.Max)
	}
}
