package ipc

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// The command line in the documentation works.
func TestCurlOverTheSocket(t *testing.T) {
	curl := testpeer.Program(t, "curl", "curl")
	path := serveUnix(t, &scripted{})
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), curl, append([]string{"-q", "-sS", "--unix-socket", path}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := run("http://kyc-agent/v1/token?env=prod&format=token"); got != fixture.JWT+"\n" {
		t.Errorf("got %q", got)
	}
	if got := run("http://localhost/v1/token?env=prod"); !strings.Contains(got, `"code":"denied"`) {
		t.Errorf("another host got %q", got)
	}
}
