package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// This file says why `run` could not start a program, in the words of `kyc-token exec`,
// which imports nothing of the module and so has its own execfail.go.

// cannotRun says why there is no command to run, with the exit code of a shell.
func (o *runOptions) cannotRun(program string, err error) error {
	name := o.command[0]
	if program == "" {
		program = findFile(name, o.cli.vars.Get("PATH"))
	}
	missing := missingInterpreter(program)
	switch {
	case program != "" && errors.Is(err, exec.ErrNotFound): // on PATH, but not executable
		o.cli.io.say("cannot run %s: permission denied%s", name, whyDenied(program))
		return exitStatus(exitCannotRun)
	case errors.Is(err, fs.ErrNotExist) && missing != "":
		o.cli.io.say("cannot run %s: it %s", name, missing)
		return exitStatus(exitNotFound)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		o.cli.io.say("no such command: %s", name)
		return exitStatus(exitNotFound)
	}
	why := ""
	switch {
	case errors.Is(err, syscall.EACCES):
		why = whyDenied(program)
	case errors.Is(err, syscall.ENOEXEC):
		why = whyNoFormat(program)
	}
	o.cli.io.say("cannot run %s: %s%s", name, config.PlainCause(errors.Unwrap(err)), why)
	return exitStatus(exitCannotRun)
}

// findFile returns the first file of that name on path, or "". [exec.LookPath] finds only
// those that can be run.
func findFile(name, path string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}

// missingInterpreter returns what is missing if there is a program at path. The kernel
// reports the interpreter of a script, and the loader of a program, as if the program
// itself were missing.
func missingInterpreter(path string) string {
	start := readStart(path)
	line, isScript := bytes.CutPrefix(start, []byte("#!"))
	switch {
	case isScript:
		line, _, _ = bytes.Cut(line, []byte("\n"))
		interpreter, _, _ := strings.Cut(strings.Trim(string(line), " \t"), " ")
		if trimmed, cr := strings.CutSuffix(interpreter, "\r"); cr {
			return "is there, but not the interpreter that its first line names: " + trimmed +
				" and a carriage return; save it with LF at the end of its lines, not CR LF"
		}
		return "is there, but not the interpreter that its first line names: " + interpreter
	case bytes.HasPrefix(start, elfMagic):
		return "is there, but not the loader that it was linked for; install the C library that it needs"
	}
	return ""
}

// whyDenied returns what keeps path from being run, or "".
func whyDenied(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return ""
	case info.IsDir():
		return ": it is a folder"
	case info.Mode().Perm()&0o111 == 0:
		return ""
	case isNoexec(path):
		return ": its file system is mounted noexec; name its interpreter, such as: -- sh " + path
	case bytes.HasPrefix(readStart(path), []byte("#!")):
		return ": it, or the interpreter that its first line names, is not for you to run"
	}
	return ""
}

func whyNoFormat(path string) string {
	if bytes.HasPrefix(readStart(path), elfMagic) {
		return ": it is a program for another kind of machine, or damaged"
	}
	return ": it is neither a script nor a program for this system"
}

var elfMagic = []byte("\x7fELF")

// isText reports whether the file may be a script: no NUL in its first line, as shells
// check it.
func isText(path string) bool {
	line, _, _ := bytes.Cut(readStart(path), []byte("\n"))
	return !bytes.Contains(line, []byte{0})
}

// readStart returns the first bytes of a file, or nothing.
func readStart(path string) []byte {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	start := make([]byte, 256) // the kernel reads that much of a first line
	n, _ := f.Read(start)
	return start[:n]
}
