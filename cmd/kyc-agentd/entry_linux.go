//go:build amd64 || arm64

package main

import "syscall"

// entry asks whether stdout is open and goes on to the Go runtime's entry. That opens
// /dev/null in the place of a closed descriptor, before any Go code runs, and so what is
// printed would get lost without an error (`>&-`). The linker makes entry the program's
// first instruction by `-E=main.entry`, as the Makefile says; without that flag a closed
// stdout goes unnoticed.
func entry()

var _ = entry

// stdoutAtStart is what fcntl(1, F_GETFD) returned.
var stdoutAtStart int

// stdoutWasClosed reports whether the caller closed stdout.
func stdoutWasClosed() bool { return stdoutAtStart == -int(syscall.EBADF) }
