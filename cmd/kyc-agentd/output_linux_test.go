package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// Whatever a verb prints on a stdout that is full or closed, it says so and fails.
func TestOddStdout(t *testing.T) {
	sh := testpeer.Program(t, "sh", "dash")
	h := newFixture(t)
	h.daemon()
	program := testpeer.Build(t, "kyc-agentd")
	for _, verb := range []string{
		"--help", "--version", "version", "status", "status --json", "doctor --offline", "doctor --offline --json", "env", "config show", "config show --json", "config get store", "config path", "environment list",
		"env --unset",
		"completion bash", "completion fish", "completion zsh", "__complete login ''",
		"serve --help", "login --help", "logout --help", "password --help", "password reset --help", "confirm --help", "status --help",
		"doctor --help", "config --help", "config set --help", "environment --help", "use --help", "start --help", "stop --help", "restart --help", "log --help", "support --help", "reload --help", "api --help", "run --help", "env --help", "keygen --help", "completion --help", "version --help",
		"status -w", "list", "list -q", "list -o json", "version --json", "help", "help login", "__complete whoami ''",
		"whoami --help", "list --help", "wait --help", "help --help", "auth --help", "auth login --help",
	} {
		for redirect, why := range map[string]string{">/dev/full": "no space left on device", ">&-": "bad file descriptor", "<&- >&-": "bad file descriptor"} {
			cmd := exec.Command(sh, "-c", program+" "+verb+" "+redirect)
			cmd.Env = h.env
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run()
			want := "kyc-agentd: write /dev/stdout: " + why + "\n"
			if exit := cmd.ProcessState.ExitCode(); exit != exitInternal || !strings.HasSuffix(stderr.String(), want) || stdout.Len() > 0 {
				t.Errorf("%s %s: exit %d, %q", verb, redirect, exit, stderr.String())
			}
		}
	}
}
