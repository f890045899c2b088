package main

import (
	"strings"
	"syscall"
)

// This file says why exec could not start a program. kyc-agentd has the same words in
// run_explain.go; this program imports nothing of the module.

// explainExec returns why path, which was found for name, was not started; without a text
// if there is nothing at path. final is whether the rest of PATH does not matter.
func explainExec(name, path string, err error) (f failure, final bool) {
	switch err {
	case syscall.ENOENT, syscall.ENOTDIR:
		if missing := missingInterpreter(path); missing != "" {
			return failure{exitNotFound, name + " " + missing}, false
		}
		return failure{}, false
	case syscall.EACCES:
		// execvp(3) continues, too, and reports this rather than "not found".
		return failure{exitNotExecutable, name + ": " + err.Error() + whyDenied(path)}, false
	case syscall.ENOEXEC:
		return failure{exitNotExecutable, name + ": " + err.Error() + whyNoFormat(readStart(path))}, true
	}
	return failure{exitNotExecutable, name + ": " + err.Error()}, true
}

// missingInterpreter returns what is missing if there is a program at path. The kernel
// reports the interpreter of a script, and the loader of a program, as if the program
// itself were missing.
func missingInterpreter(path string) string {
	start := readStart(path)
	line, isScript := strings.CutPrefix(start, "#!")
	switch {
	case isScript:
		line, _, _ = strings.Cut(line, "\n")
		interpreter, _, _ := strings.Cut(strings.Trim(line, " \t"), " ")
		if trimmed, cr := strings.CutSuffix(interpreter, "\r"); cr {
			return "is there, but not the interpreter that its first line names: " + trimmed +
				" and a carriage return; save it with LF at the end of its lines, not CR LF"
		}
		return "is there, but not the interpreter that its first line names: " + interpreter
	case strings.HasPrefix(start, elfMagic):
		return "is there, but not the loader that it was linked for; install the C library that it needs"
	}
	return ""
}

// whyDenied returns what keeps path from being run, or "".
func whyDenied(path string) string {
	var info syscall.Stat_t
	if syscall.Stat(path, &info) != nil {
		return ""
	}
	switch {
	case info.Mode&syscall.S_IFMT == syscall.S_IFDIR:
		return ": it is a folder"
	case info.Mode&0o111 == 0:
		return ""
	case isNoexec(path):
		return ": its file system is mounted noexec; name its interpreter, such as: -- sh " + path
	case strings.HasPrefix(readStart(path), "#!"):
		return ": it, or the interpreter that its first line names, is not for you to run"
	}
	return ""
}

func whyNoFormat(start string) string {
	if strings.HasPrefix(start, elfMagic) {
		return ": it is a program for another kind of machine, or damaged"
	}
	return ": it is neither a script nor a program for this system"
}

const elfMagic = "\x7fELF"

// isBinary reports whether a file that starts so cannot be a script: the rule of shells.
func isBinary(start string) bool {
	line, _, _ := strings.Cut(start, "\n")
	return strings.Contains(line, "\x00")
}

// readStart returns the first bytes of a regular file, or "".
func readStart(path string) string {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = syscall.Close(fd) }()
	start := make([]byte, 256) // the kernel reads that much of a first line
	n, _ := syscall.Read(fd, start)
	return string(start[:max(n, 0)])
}
