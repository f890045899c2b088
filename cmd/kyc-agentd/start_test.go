package main

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestLittleBeforeMain checks what the packages of the program allocate at each start, before
// main: work at package level is easily added and never seen. `make bench` has it by module, and
// the time as well.
func TestLittleBeforeMain(t *testing.T) {
	const most, mostOfThisModule = 300_000, 30_000
	cmd := exec.Command(testpeer.Build(t, "kyc-agentd"), "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace strings.Builder
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	var all, own int
	for line := range strings.Lines(trace.String()) {
		f := strings.Fields(line) // init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs
		if len(f) != 11 || f[0] != "init" {
			continue
		}
		n, err := strconv.Atoi(f[7])
		if err != nil {
			t.Fatal(err)
		}
		if all += n; f[1] == "main" || strings.HasPrefix(f[1], "github.com/legaltalent/") {
			own += n
		}
	}
	if all == 0 || all > most || own > mostOfThisModule {
		t.Errorf("%d bytes before main, want at most %d; %d of them by this module, want at most %d:\n%s", all, most, own, mostOfThisModule, &trace)
	}
}

// TestUnusedMethodsAreLeftOut checks that the linker may drop what nothing calls. It may not once
// a package calls a method by its name, as text/template does.
func TestUnusedMethodsAreLeftOut(t *testing.T) {
	program, err := os.ReadFile(testpeer.Build(t, "kyc-agentd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"reflect.Value.MethodByName", "text/template.(*Template).Execute"} {
		if bytes.Contains(program, []byte(name)) {
			t.Errorf("%s is linked: every exported method of every type is, too", name)
		}
	}
	if !bytes.Contains(program, []byte("reflect.Value.Field")) {
		t.Error("the program has no names of functions, so this test finds nothing")
	}
}
