package main

import (
	"strconv"
	"strings"
	"syscall"
)

// maxPath is the length of the longest path of a socket, in bytes: 107 on Linux, 103 on
// macOS. The kernel's field also holds a NUL.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// An address is the path of the agent's socket.
type address struct {
	path string
	from string // the flag or the variable that names it; empty for systemd's path
}

// socket returns the address of the agent. If no variable is set, as in cron, it is the
// path at which systemd's user manager makes the socket.
func (p process) socket(o options) (address, error) {
	standard, from := p.standardSocket()
	switch path := p.getenv("KYC_AGENT_SOCK"); {
	case o.socket != "" && o.socket != standard:
		return checkPath(o.socket, "-socket", exitUsage)
	case o.socket == "" && path != "" && path != standard:
		return checkPath(path, "KYC_AGENT_SOCK", exitConfig)
	}
	a, err := checkPath(standard, from, exitConfig)
	a.from = ""
	return a, err
}

// standardSocket returns systemd's path, and the variable that can make it shorter.
func (p process) standardSocket() (path, from string) {
	const name = "/kyc-agentd/agent.sock"
	// The XDG base directory specification says to ignore relative paths.
	if dir := p.getenv("XDG_RUNTIME_DIR"); strings.HasPrefix(dir, "/") {
		return dir + name, "XDG_RUNTIME_DIR"
	}
	return p.runtimeDir() + name, "KYC_AGENT_SOCK"
}

// checkPath refuses a path that is too long for the kernel. from names the flag or the
// variable that set it.
func checkPath(path, from string, exit int) (address, error) {
	switch {
	case len(path) > maxPath:
		return address{}, failure{exit, "the socket's path of " + strconv.Itoa(len(path)) + " bytes is longer than the system's " +
			strconv.Itoa(maxPath) + "; set a shorter " + from + ": " + path}
	case path[0] == '@':
		// Go's syscall package treats it as one of Linux's abstract names, which have no owner.
		return address{}, failure{exit, path + " is not a path; set " + from + " to the path of the agent's socket"}
	}
	return address{path, from}, nil
}
