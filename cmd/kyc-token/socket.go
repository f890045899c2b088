package main

import (
	"strconv"
	"strings"
	"syscall"
)

// maxPath is the longest path a socket can have, in bytes: 107 on Linux, 103 on
// macOS. The kernel's field holds a NUL too.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// socket chooses the agent's socket. With nothing exported, as in cron, it is where
// systemd's user manager puts it.
func (p process) socket(o options) (string, error) {
	if o.socket != "" {
		return checkPath(o.socket, "-socket", exitUsage)
	}
	if path := p.getenv("KYC_AGENT_SOCK"); path != "" {
		return checkPath(path, "KYC_AGENT_SOCK", exitConfig)
	}
	const name = "/kyc-agentd/agent.sock"
	// The XDG base directory specification has relative paths ignored.
	if dir := p.getenv("XDG_RUNTIME_DIR"); strings.HasPrefix(dir, "/") {
		return checkPath(dir+name, "XDG_RUNTIME_DIR", exitConfig)
	}
	return checkPath(p.runtimeDir()+name, "KYC_AGENT_SOCK", exitConfig)
}

// checkPath refuses a path that the kernel cannot take. from says where it came from.
func checkPath(path, from string, exit int) (string, error) {
	switch {
	case len(path) > maxPath:
		return "", failure{exit, "the socket's path of " + strconv.Itoa(len(path)) + " bytes is longer than the system's " +
			strconv.Itoa(maxPath) + "; set a shorter " + from + ": " + path}
	case path[0] == '@':
		// Go's syscall package takes these for Linux's abstract names, which have no owner.
		return "", failure{exit, path + " is no path; set " + from + " to the path of the agent's socket"}
	}
	return path, nil
}
