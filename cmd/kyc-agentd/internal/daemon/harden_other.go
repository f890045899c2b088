//go:build !linux

package daemon

import "syscall"

// Harden makes the files that this process writes private to its user. Its error says what
// failed; the daemon works without that.
func Harden() error {
	syscall.Umask(0o077)
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}

// Undumpable is the part of Harden that a child process does not inherit: there is none on
// this system.
func Undumpable() error { return nil }

// memoryClosed reports that nothing keeps the other processes of the user from the memory.
func memoryClosed() bool { return false }

func noCore() bool { return false }
