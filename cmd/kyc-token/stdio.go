package main

import (
	"io"
	"os"
	"syscall"
	"unsafe"
)

// A descriptor is stdin, stdout or stderr. Writing to a pipe without a reader returns an
// error; os.File would let SIGPIPE end the process without a message.
//
// If the caller closed a descriptor, the Go runtime opens /dev/null in its place at the
// start, so the agent's socket never gets the number of stdout. Writing to a stdout that was
// closed is an error.
type descriptor int

func (d descriptor) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(d), p)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN: // the caller made it non-blocking
			return d.file().Read(p)
		case err == nil && n == 0:
			return 0, io.EOF
		default:
			return max(n, 0), err
		}
	}
}

func (d descriptor) Write(p []byte) (int, error) {
	if d == 1 && stdoutWasClosed() {
		return 0, syscall.EBADF
	}
	done := 0
	for done < len(p) {
		n, err := syscall.Write(int(d), p[done:])
		done += max(n, 0)
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN: // the caller made it non-blocking, and it is full
			n, err := d.file().Write(p[done:])
			return done + n, err
		default:
			return done, err
		}
	}
	return done, nil
}

// file returns the os package's file, which can wait for a non-blocking descriptor.
func (d descriptor) file() *os.File {
	switch d {
	case 0:
		return os.Stdin
	case 2:
		return os.Stderr
	}
	return os.Stdout
}

// A process that runs for two milliseconds has no memory ready: each copy of a token has to be
// prepared by the runtime and the kernel, which takes 5 µs and more.

// bytesOf returns the bytes of s without a copy. Nobody may change them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// textOf returns b as a string without a copy. Nobody may change b as long as the string is used.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
