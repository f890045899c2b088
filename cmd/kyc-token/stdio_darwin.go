package main

import "golang.org/x/sys/unix"

// isTerminal reports whether d is a terminal: only terminals have attributes.
func (d descriptor) isTerminal() bool {
	_, err := unix.IoctlGetTermios(int(d), unix.TIOCGETA)
	return err == nil
}
