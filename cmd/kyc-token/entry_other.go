//go:build !linux || (!amd64 && !arm64)

package main

// stdoutWasClosed is not known here: see entry_linux.go.
func stdoutWasClosed() bool { return false }
