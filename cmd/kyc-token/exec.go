package main

import (
	"strings"
	"syscall"
)

// Exit codes of exec, the same as in a shell.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// execCommand replaces this process by the command, with lines of NAME=value added to its
// environment. It returns only if that fails.
func (p process) execCommand(command []string, lines string) error {
	env := mergeEnv(p.environ(), strings.Split(strings.TrimSuffix(lines, "\n"), "\n"))
	last := error(syscall.ENOENT)
	for _, path := range execPaths(command[0], p.getenv("PATH")) {
		switch err := p.exec(path, command, env); err {
		case syscall.ENOENT, syscall.ENOTDIR:
		case syscall.EACCES:
			last = err // execvp(3) continues, too, and reports this rather than "not found"
		default:
			return failure{exitNotExecutable, command[0] + ": " + err.Error()}
		}
	}
	if last == syscall.EACCES {
		return failure{exitNotExecutable, command[0] + ": " + last.Error()}
	}
	return failure{exitNotFound, command[0] + ": command not found"}
}

// execPaths returns the paths at which to look for the program name, as execvp(3) does.
func execPaths(name, path string) []string {
	if name == "" || strings.Contains(name, "/") {
		return []string{name}
	}
	if path == "" {
		path = "/bin:/usr/bin"
	}
	var all []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		all = append(all, dir+"/"+name)
	}
	return all
}

// mergeEnv returns env with the variables in added, which replace those of the same name.
func mergeEnv(env, added []string) []string {
	var out []string
	for _, old := range env {
		if name, _, _ := strings.Cut(old, "="); !hasVariable(added, name) {
			out = append(out, old)
		}
	}
	return append(out, added...)
}

func hasVariable(env []string, name string) bool {
	for _, line := range env {
		if n, _, _ := strings.Cut(line, "="); n == name {
			return true
		}
	}
	return false
}
