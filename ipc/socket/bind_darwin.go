package socket

import (
	"net"
	"path/filepath"
)

// bind makes a socket. Darwin has no way to bind(2) in an open folder, so checkBound, which
// looks into that folder afterwards, is what finds a socket that was made elsewhere.
func (f *folder) bind(name string) (*net.UnixListener, error) { return bind(f.address(name)) }

// address returns the path by which to reach a socket in the folder.
func (f *folder) address(name string) string { return filepath.Join(f.path, name) }
