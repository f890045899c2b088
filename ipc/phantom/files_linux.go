package phantom

import (
	"errors"
	"net"
	"os"

	"github.com/legaltalent/kyc-agent/internal/tcpowner"
)

// Files returns duplicates of what a Listener consists of, for a process in another network name
// space, which gets one like it from [FromFiles].
func (l *Listener) Files() (tcp, netlink *os.File, err error) {
	if tcp, err = l.tcp.File(); err != nil {
		return nil, nil, err
	}
	if netlink, err = l.owners.File(); err != nil {
		_ = tcp.Close()
		return nil, nil, err
	}
	return tcp, netlink, nil
}

// FromFiles returns the Listener whose Files these are. They are its own from then on.
func FromFiles(tcp, netlink *os.File) (*Listener, error) {
	defer tcp.Close()
	ln, err := net.FileListener(tcp)
	if err != nil {
		_ = netlink.Close()
		return nil, err
	}
	l, ok := ln.(*net.TCPListener)
	if !ok {
		_ = netlink.Close()
		return nil, errors.Join(errors.New("not a TCP listener"), ln.Close())
	}
	return &Listener{tcp: l, owners: tcpowner.FromFile(netlink), uid: os.Getuid()}, nil
}
