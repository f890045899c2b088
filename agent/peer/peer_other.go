//go:build !linux

package peer

import (
	"errors"
	"net"
	"syscall"
)

// A Peer is the process that made a connection. This system does not tell enough about it.
type Peer struct{}

// Of returns a Peer without facts.
func Of(net.Conn) *Peer { return &Peer{} }

// OfCredentials returns a Peer without facts.
func OfCredentials(syscall.Conn, int, int) *Peer { return &Peer{} }

// PID returns 0.
func (p *Peer) PID() int { return 0 }

// UID returns -1.
func (p *Peer) UID() int { return -1 }

// Close does nothing.
func (p *Peer) Close() {}

// Facts returns [errors.ErrUnsupported].
func (p *Peer) Facts() (Facts, error) { return Facts{UID: -1}, errors.ErrUnsupported }

// Brief returns [errors.ErrUnsupported].
func (p *Peer) Brief() (*Facts, error) { return nil, errors.ErrUnsupported }

// PinLeader returns [errors.ErrUnsupported].
func (p *Peer) PinLeader() (*Pin, error) { return nil, errors.ErrUnsupported }

// A Pin is a process that cannot be confused with a later one of its number.
type Pin struct{}

// Process returns the zero Process.
func (p *Pin) Process() Process { return Process{} }

// Alive returns false.
func (p *Pin) Alive() bool { return false }

// Close does nothing.
func (p *Pin) Close() {}
