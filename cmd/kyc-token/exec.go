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
	return p.become(command, mergeEnv(p.environ(), strings.Split(strings.TrimSuffix(lines, "\n"), "\n")))
}

// become runs the command in place of this process, as execvp(3) does. It returns why it
// could not.
func (p process) become(command, env []string) error {
	last := failure{exitNotFound, command[0] + ": command not found"}
	for _, path := range execPaths(command[0], p.getenv("PATH")) {
		err := p.exec(path, command, env)
		if err == syscall.ENOEXEC && !isBinary(readStart(path)) {
			err = p.exec(shell, append([]string{shell, asOperand(path)}, command[1:]...), env)
		}
		f, final := explainExec(command[0], path, err)
		if final {
			return f
		}
		if f.text != "" {
			last = f
		}
	}
	return last
}

// shell runs the scripts whose first line names no interpreter.
const shell = "/bin/sh"

// asOperand returns path so that the shell does not read it as a flag.
func asOperand(path string) string {
	if strings.HasPrefix(path, "-") {
		return "./" + path
	}
	return path
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
