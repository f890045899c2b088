package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// programs are files that execve(2) refuses, and what exec makes of them: the words of
// stdout, or of stderr. kyc-agentd has the same table in run_explain_test.go.
var programs = []struct {
	name, text string
	mode       os.FileMode
	exit       int
	words      string
}{
	{"plain", "echo \"$1-$#\"; exit 3\n", 0o700, 3, "a b-2\n"},
	{"blank", "\necho \"$1\"\n", 0o700, 0, "a b\n"},
	{"comment", "# no interpreter\necho \"$1\"\n", 0o700, 0, "a b\n"},
	{"nothing after #!", "#!\necho \"$1\"\n", 0o700, 0, "a b\n"},
	{"empty", "", 0o700, 0, ""},
	{"latin", "# \xe4\xf6\xfc\necho \"$1\"\n", 0o700, 0, "a b\n"},
	{"-dash", "echo \"$1\"\n", 0o700, 0, "a b\n"},
	{"crlf", "#!/bin/sh\r\necho x\r\n", 0o700, exitNotFound, "is there, but not the interpreter that its first line names: /bin/sh and a carriage return; save it with LF"},
	{"crlf with a flag", "#!/bin/sh -e\r\necho x\r\n", 0o700, 0, ""},
	{"gone", "#!/usr/local/none/perl -w\n", 0o700, exitNotFound, "is there, but not the interpreter that its first line names: /usr/local/none/perl\n"},
	{"gone, spaced", "#!  none\n", 0o700, exitNotFound, "its first line names: none\n"},
	{"a folder for an interpreter", "#!/etc\n", 0o700, exitNotExecutable, "permission denied: it, or the interpreter that its first line names, is not for you to run"},
	{"foreign", "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 200), 0o700, exitNotExecutable, "exec format error: it is a program for another kind of machine, or damaged"},
	{"data", "\x00\x01\n", 0o700, exitNotExecutable, "exec format error: it is neither a script nor a program for this system"},
	{"not executable", "echo x\n", 0o600, exitNotExecutable, "permission denied"},
}

func TestExecOfScripts(t *testing.T) {
	agent := agentAnswering(t, ok(someVariables))
	dir := t.TempDir()
	for _, p := range programs {
		if err := testpeer.WriteProgram(filepath.Join(dir, p.name), []byte(p.text), p.mode); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"./" + p.name, p.name, filepath.Join(dir, p.name)} {
			t.Run(command, func(t *testing.T) {
				cmd := program(t, "exec", "-socket", agent.path, "--", command, "a b", "c")
				cmd.Dir, cmd.Env = dir, []string{"PATH=/nowhere:" + dir + ":" + os.Getenv("PATH")}
				o := finish(t, cmd)
				switch {
				case p.name == "crlf with a flag": // the shell's own words
					if o.exit == 0 || strings.Contains(o.stderr, "kyc-token") {
						t.Errorf("got %+v", o)
					}
				case p.exit >= exitNotExecutable:
					o.wantFailure(t, p.exit, "", "kyc-token: "+command, p.words)
				case o.exit != p.exit || o.stdout != p.words || o.stderr != "":
					t.Errorf("got %+v", o)
				}
			})
		}
	}
	o := finish(t, program(t, "exec", "-socket", agent.path, "--", dir))
	o.wantFailure(t, exitNotExecutable, "", "permission denied: it is a folder")
}

// A program whose loader is not there: one for another C library, such as musl's on a
// system with glibc.
func TestExecWithoutLoader(t *testing.T) {
	sh, err := os.ReadFile("/bin/sh")
	loader := []byte("/lib64/ld-linux")
	if err != nil || !bytes.Contains(sh, loader) {
		t.Skip("/bin/sh has no loader of glibc for this machine")
	}
	agent := agentAnswering(t, ok(someVariables))
	path := filepath.Join(t.TempDir(), "musl")
	if err := testpeer.WriteProgram(path, bytes.Replace(sh, loader, []byte("/lib64/ld-none_"), 1), 0o700); err != nil {
		t.Fatal(err)
	}
	finish(t, program(t, "exec", "-socket", agent.path, "--", path)).
		wantFailure(t, exitNotFound, "", "musl is there, but not the loader that it was linked for")
}
