package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A person runs a helper by hand: at a terminal, or with nothing on stdin. It says at once
// what it is, and how to get a token.
func TestHelperByHand(t *testing.T) {
	agent := wellBehaved(t)
	for _, test := range []struct {
		name  string
		args  []string
		exit  int
		words string // of stderr
	}{
		{"kyc-token", []string{"get"}, exitUsage, `get is a credential helper and reads {"uri": "https://..."} from stdin; for a token: kyc-token`},
		{"kyc-token", []string{"get", "staging"}, exitUsage, "for a token: kyc-token staging"},
		{"kyc-token", []string{"-user", "ana", "get", "prod"}, exitUsage, "for a token: kyc-token prod"},
		{git, nil, exitUsage, "git-credential-kyc is run by git, with an operation: get; for a token: kyc-token"},
		{git, []string{"get"}, exitUsage, "git-credential-kyc is a credential helper and reads git's question from stdin; for a token: kyc-token"},
		{git, []string{"prod", "get"}, exitUsage, "for a token: kyc-token prod"},
		{git, []string{"store"}, exitOK, ""},
		{git, []string{"erase"}, exitOK, ""},
		{terraform, nil, exitUsage, "terraform-credentials-kyc is run by Terraform, with an operation and a host: get HOST; for a token: kyc-token"},
		{terraform, []string{"store", "x"}, exitUsage, "terraform cannot store a token here"},
		{goauth, []string{"https://x/y"}, exitOK, "Authorization: Bearer " + jwt},
		{goauth, nil, exitOK, "Authorization: Bearer " + jwt},
	} {
		t.Run(test.name+" "+strings.Join(test.args, " "), func(t *testing.T) {
			started := time.Now()
			exit, said := atTerminal(t, test.name, append([]string{"-socket", agent.path}, test.args...)...)
			if exit != test.exit || !strings.Contains(said, strings.TrimSpace(test.words)) {
				t.Errorf("at a terminal: exit code %d, %q", exit, said)
			}
			if took := time.Since(started); took > helperLimit/2 {
				t.Errorf("at a terminal it took %v", took)
			}
			if o := run(t, withName(test.name, ""), append([]string{"-socket", agent.path}, test.args...)...); o.exit != test.exit ||
				!strings.Contains(o.stdout+o.stderr, test.words) {
				t.Errorf("with an empty stdin: %+v", o)
			}
		})
	}
	if exit, said := atTerminal(t, "kyc-token", "-socket", agent.path); exit != exitOK || !strings.Contains(said, strings.TrimSpace(tokenLine)) {
		t.Errorf("a token: exit code %d, %q", exit, said)
	}
}

// atTerminal runs kyc-token by that name on a terminal at which nobody types.
func atTerminal(t *testing.T, name string, args ...string) (exit int, said string) {
	t.Helper()
	link := filepath.Join(t.TempDir(), name)
	if err := exec.Command("ln", "-s", testpeer.Build(t, "kyc-token"), link).Run(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link, args...)
	cmd.Env = []string{}
	tty, err := pty.StartWithAttrs(cmd, nil, &syscall.SysProcAttr{Setsid: true, Setctty: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	var out bytes.Buffer
	_, _ = out.ReadFrom(tty) // ends with an error when the program does
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String()
}
