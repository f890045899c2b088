package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
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

// A daemon that a signal ends leaves no secret, however its environment asks Go for dumps and
// traces.
func TestDumpsHaveNoSecret(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGTRAP, syscall.SIGSYS} {
		t.Run(sig.String(), func(t *testing.T) {
			h := newFixture(t)
			var log testlog.Buffer
			cmd := exec.Command(testpeer.Build(t, "kyc-agentd"), "serve", "--store", "memory", "--log-level", "debug")
			cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, &log, &log
			cmd.Env = append([]string{"GOTRACEBACK=crash", "GODEBUG=http2debug=2,gctrace=1,schedtrace=1000", "SSLKEYLOGFILE=" + filepath.Join(h.dir, "keys"),
				"AWS_ENDPOINT_URL=http://127.0.0.1:1"}, h.env...)
			d := h.launched(cmd)
			if got := h.run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin", "staging")); got.exit != exitOK {
				t.Fatalf("%+v", got)
			}
			h.token("staging")
			_ = d.Process.Signal(sig)
			<-d.exited
			text := log.String()
			if !strings.Contains(text, "goroutine ") {
				t.Errorf("no dump: %s", text)
			}
			for _, secret := range []string{"correct horse", "eyJ"} {
				if n := strings.Count(text, secret); n > 0 {
					t.Errorf("%d times %q in %d bytes", n, secret, len(text))
				}
			}
			for _, pattern := range []string{"core*", "keys"} {
				if left, _ := filepath.Glob(filepath.Join(h.dir, pattern)); len(left) > 0 {
					t.Errorf("left %q", left)
				}
			}
		})
	}
}
