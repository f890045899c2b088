package socket

import (
	"net"
	"syscall"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A Peer is the process at the other end of a socket: the one that connected or,
// seen by a client, the one that called listen(2), which under socket activation
// is systemd.
type Peer struct {
	UID int
	PID int // 0 when the system does not tell
}

// PeerOf asks the kernel which process is at the other end of c.
func PeerOf(c net.Conn) (Peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Peer{}, syscall.ENOTSOCK
	}
	return peerOf(sc)
}

func peerOf(sc syscall.Conn) (Peer, error) {
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var credErr error
	if err := raw.Control(func(fd uintptr) { p, credErr = peerOfSocket(int(fd)) }); err != nil {
		return Peer{}, err
	}
	return p, credErr
}

// Program returns the path of the program that the peer runs, or else its name and its parent's
// program ("kyc-agentd, child of /usr/bin/bash"), for a log only: the peer
// may have ended since, another process may have its number by now, and a process can
// start as any program it likes. It is empty where the system does not tell.
func (p Peer) Program() string {
	if p.PID <= 0 {
		return ""
	}
	return sanitize.OneLine(programOf(p.PID))
}
