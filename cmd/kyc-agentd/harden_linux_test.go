package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

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
