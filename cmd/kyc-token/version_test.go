package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

func TestVersionIn(t *testing.T) {
	for program, want := range map[string]string{ // | is a newline, so that this test's own file has no such line
		"":                                  "(devel)",
		"|mod\tMODULE\tv1.2.3\th1:=|":       "v1.2.3",
		"mod\tMODULE\tx|mod\tMODULE\tv2\t|": "v2",
		"|mod\tMODULE\tv1\x1b[2J\t|":        "v1?[2J",
		"|mod\texample.com/m\tv1.0.0\t|":    "(devel)",
	} {
		program = strings.NewReplacer("|", "\n", "MODULE", "github.com/legaltalent/kyc-agent").Replace(program)
		if got := versionIn(program); got != want {
			t.Errorf("%q: %q, want %q", program, got, want)
		}
	}
}

// A program of `go install` has no stamp and says the version that the go command knows.
func TestVersionOfBuild(t *testing.T) {
	testpeer.Slow(t)
	program := filepath.Join(t.TempDir(), "kyc-token")
	for stamp, want := range map[string]string{"": "(devel)", "-X main.version=v1.2.3": "v1.2.3"} {
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags="+stamp, "-o", program, ".").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		if out, err := exec.CommandContext(t.Context(), program, "-version").CombinedOutput(); err != nil || string(out) != "kyc-token "+want+"\n" {
			t.Errorf("-version with %q: %v, %q", stamp, err, out)
		}
	}
}
