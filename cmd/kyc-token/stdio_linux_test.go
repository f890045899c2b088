package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// docs/operations.md names the least address space.
func TestAddressSpace(t *testing.T) {
	agent := agentAnswering(t, ok(tokenLine))
	cmd := exec.Command("sh", "-c", `ulimit -v 800000; exec "$0" -socket "$1"`, testpeer.Build(t, "kyc-token"), agent.path)
	cmd.Env = []string{}
	finish(t, cmd).wantSuccess(t, tokenLine)
}

// A stdout that is full or closed is a failure with a line; a closed stdin or stderr keeps
// nothing from working.
func TestOddDescriptors(t *testing.T) {
	sh := testpeer.Program(t, "sh", "dash")
	agent := wellBehaved(t)
	kycToken := testpeer.Build(t, "kyc-token") + " -socket " + agent.path + " "
	const full, closed = "kyc-token: stdout: no space left on device; nothing more was printed\n", "kyc-token: stdout: bad file descriptor; nothing more was printed\n"
	for _, test := range []struct {
		line string
		want outcome
	}{
		{"%s <&-", outcome{0, tokenLine, ""}},
		{"%s 2>&-", outcome{0, tokenLine, ""}},
		{"%s <&- 2>&-", outcome{0, tokenLine, ""}},
		{"%s >/dev/null", outcome{0, "", ""}},
		{"%s 1<>/dev/null", outcome{0, "", ""}}, // as Python's DEVNULL
		{"%s >/dev/full", outcome{exitInternal, "", full}},
		{"%s >&-", outcome{exitInternal, "", closed}},
		{"%s -h >&-", outcome{exitInternal, "", closed}},
		{"%s -version >&-", outcome{exitInternal, "", closed}},
		{"%s -f curl >&-", outcome{exitInternal, "", closed}},
		{"%s <&- >&-", outcome{exitInternal, "", closed}},
		{"%s <&- >&- 2>&-", outcome{exitInternal, "", ""}},
		{"%s get <&-", outcome{exitUsage, "", `kyc-token: get is a credential helper and reads {"uri": "https://..."} from stdin; for a token: kyc-token` + "\n"}},
	} {
		cmd := exec.Command(sh, "-c", strings.ReplaceAll(test.line, "%s", kycToken))
		cmd.Env = []string{}
		if got := finish(t, cmd); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.line, got, test.want)
		}
	}
}
