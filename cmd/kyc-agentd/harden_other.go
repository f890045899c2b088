//go:build !linux

package main

import "syscall"

// harden makes what this process writes private to its user. It returns what it
// could not do; none of it keeps the daemon from working.
func harden() error {
	syscall.Umask(0o077)
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}

// undumpable is the part of harden that a command started by this process does not
// inherit: there is none here.
func undumpable() error { return nil }
