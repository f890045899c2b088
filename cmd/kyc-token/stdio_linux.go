package main

import (
	"syscall"
	"unsafe"
)

// isTerminal reports whether d is a terminal: only terminals have attributes.
func (d descriptor) isTerminal() bool {
	var attributes syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(d), syscall.TCGETS, uintptr(unsafe.Pointer(&attributes)))
	return errno == 0
}
