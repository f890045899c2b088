//go:build !linux

package tcpowner

import (
	"net"
	"os"
)

// Owners knows nobody: no system call says whose a connection on loopback is.
type Owners struct{}

// New returns an Owners.
func New() (*Owners, error) { return &Owners{}, nil }

// Close does nothing.
func (*Owners) Close() error { return nil }

// Of returns the user of this process.
func (*Owners) Of(*net.TCPConn) (uid int, err error) { return os.Getuid(), nil }
