//go:build unix && !linux

package file

import "golang.org/x/sys/unix"

// isOwnAgent reports whether the process pid is one that this user can stop. These systems
// have no PID namespaces.
func isOwnAgent(pid int) bool { return unix.Kill(pid, 0) == nil }
