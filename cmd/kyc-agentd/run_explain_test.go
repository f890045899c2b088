package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// `run` starts what execvp(3) starts, and says why it cannot: the table of kyc-token's
// execfail_test.go.
func TestRunOfScripts(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name, text string
		mode       os.FileMode
		exit       int
		words      string
	}{
		{"plain", "echo \"$1-$#\"; exit 3\n", 0o700, 3, "a b-2\n"},
		{"nothing after #!", "#!\necho \"$1\"\n", 0o700, 0, "a b\n"},
		{"empty", "", 0o700, 0, ""},
		{"crlf", "#!/bin/sh\r\necho x\r\n", 0o700, exitNotFound, "it is there, but not the interpreter that its first line names: /bin/sh and a carriage return; save it with LF"},
		{"gone", "#!/usr/local/none/perl -w\n", 0o700, exitNotFound, "it is there, but not the interpreter that its first line names: /usr/local/none/perl\n"},
		{"a folder for an interpreter", "#!/etc\n", 0o700, exitCannotRun, "permission denied: it, or the interpreter that its first line names, is not for you to run"},
		{"foreign", "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 200), 0o700, exitCannotRun, "exec format error: it is a program for another kind of machine, or damaged"},
		{"data", "\x00\x01\n", 0o700, exitCannotRun, "exec format error: it is neither a script nor a program for this system"},
		{"not executable", "echo x\n", 0o600, exitCannotRun, "permission denied\n"},
	} {
		if err := testpeer.WriteProgram(filepath.Join(dir, test.name), []byte(test.text), test.mode); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{filepath.Join(dir, test.name), test.name} {
			t.Run(command, func(t *testing.T) {
				t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
				exit, stdout, stderr := startOnly(t, command, "a b", "c")
				switch {
				case test.exit >= exitCannotRun:
					if exit != test.exit || stdout != "" || !strings.HasPrefix(stderr, "kyc-agentd: cannot run "+command+": ") ||
						!strings.Contains(stderr, test.words) || strings.Count(stderr, "\n") != 1 {
						t.Errorf("exit %d, stdout %q, stderr %q", exit, stdout, stderr)
					}
				case exit != test.exit || stdout != test.words || stderr != "":
					t.Errorf("exit %d, stdout %q, stderr %q", exit, stdout, stderr)
				}
			})
		}
	}
	if exit, _, stderr := startOnly(t, dir); exit != exitCannotRun || !strings.Contains(stderr, "it is a folder") && !strings.Contains(stderr, "is a directory") {
		t.Errorf("a folder: exit %d, %q", exit, stderr)
	}
}

// startOnly does the part of `run` that begins when a sign-in is there.
func startOnly(t *testing.T, command ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	c := &cli{io: stdio{in: strings.NewReader(""), out: &out, err: &errs}, vars: os.Environ()}
	o := &runOptions{cli: c, command: command}
	program, err := exec.LookPath(command[0])
	if err != nil {
		err = o.cannotRun("", err)
	} else {
		err = o.runChild(t.Context(), program, nil, nil)
	}
	status, _ := err.(exitStatus)
	return int(status), out.String(), errs.String()
}
