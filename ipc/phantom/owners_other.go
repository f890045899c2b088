//go:build !linux

package phantom

import (
	"net"
	"os"
)

// owners knows nobody: elsewhere no system call says whose a connection on loopback is, and
// the phantom alone decides.
type owners struct{}

func newOwners() (*owners, error) { return &owners{}, nil }

func (*owners) Close() error { return nil }

func (*owners) of(*net.TCPConn) (uid int, err error) { return os.Getuid(), nil }
