package main

import (
	"strconv"
	"strings"
	"syscall"
)

// maxPath is the length of the longest path of a socket, in bytes: 107 on Linux, 103 on
// macOS. The kernel's field also holds a NUL.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// socket returns the path of the agent's socket. If no variable is set, as in cron, it
// is the path at which systemd's user manager makes it.
func (p process) socket(o options) (string, error) {
	if o.socket != "" {
		return checkPath(o.socket, "-socket", exitUsage)
	}
	if path := p.getenv("KYC_AGENT_SOCK"); path != "" {
		return checkPath(path, "KYC_AGENT_SOCK", exitConfig)
	}
	const name = "/kyc-agentd/agent.sock"
	// The XDG base directory specification says to ignore relative paths.
	if dir := p.getenv("XDG_RUNTIME_DIR"); strings.HasPrefix(dir, "/") {
		return checkPath(dir+name, "XDG_RUNTIME_DIR", exitConfig)
	}
	return checkPath(p.runtimeDir()+name, "KYC_AGENT_SOCK", exitConfig)
}

// checkPath refuses a path that is too long for the kernel. from names the flag or the
// variable that set it.
func checkPath(path, from string, exit int) (string, error) {
	switch {
	case len(path) > maxPath:
		return "", failure{exit, "the socket's path of " + strconv.Itoa(len(path)) + " bytes is longer than the system's " +
			strconv.Itoa(maxPath) + "; set a shorter " + from + ": " + path}
	case path[0] == '@':
		// Go's syscall package treats it as one of Linux's abstract names, which have no owner.
		return "", failure{exit, path + " is not a path; set " + from + " to the path of the agent's socket"}
	}
	return path, nil
}
