package main

import (
	"strings"
	"syscall"
)

// Exit codes of exec, as a shell has them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// execCommand makes this process the command, with lines of NAME=value in its
// environment. It returns only when that fails.
func (p process) execCommand(command []string, lines string) error {
	added := strings.Split(strings.TrimSuffix(lines, "\n"), "\n")
	for _, line := range added {
		if name, _, ok := strings.Cut(line, "="); !ok || name == "" {
			return failure{errNotAgent.exit, "the answer " + errNotAgent.text}
		}
	}
	env := mergeEnv(p.environ(), added)
	last := error(syscall.ENOENT)
	for _, path := range execPaths(command[0], p.getenv("PATH")) {
		switch err := p.exec(path, command, env); err {
		case syscall.ENOENT, syscall.ENOTDIR:
		case syscall.EACCES:
			last = err // execvp(3), too, looks on, and reports this rather than nothing found
		default:
			return failure{exitNotExecutable, command[0] + ": " + err.Error()}
		}
	}
	if last == syscall.EACCES {
		return failure{exitNotExecutable, command[0] + ": " + last.Error()}
	}
	return failure{exitNotFound, command[0] + ": command not found"}
}

// execPaths are the paths that name may stand for, as in execvp(3).
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

// mergeEnv is env with the variables added, which replace those of their names.
func mergeEnv(env, added []string) []string {
	var out []string
	for _, old := range env {
		if !replaced(old, added) {
			out = append(out, old)
		}
	}
	return append(out, added...)
}

func replaced(old string, added []string) bool {
	name, _, _ := strings.Cut(old, "=")
	for _, line := range added {
		if n, _, _ := strings.Cut(line, "="); n == name {
			return true
		}
	}
	return false
}
