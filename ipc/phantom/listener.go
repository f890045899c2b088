package phantom

import (
	"errors"
	"net"
	"os"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/tcpowner"
)

// A Listener is a port on loopback for processes of this user.
type Listener struct {
	tcp    *net.TCPListener
	owners *tcpowner.Owners
	uid    int
}

// Listen listens on a free port of 127.0.0.1 in this process's network name space. On Linux it
// is an error if the kernel does not say whose a connection is.
func Listen() (*Listener, error) {
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, failed("cannot listen on 127.0.0.1", err)
	}
	o, err := tcpowner.New()
	if err != nil {
		_ = tcp.Close()
		return nil, failed("the kernel does not say whose a connection on loopback is (sock_diag)", err)
	}
	l := &Listener{tcp: tcp, owners: o, uid: os.Getuid()}
	if err := l.try(); err != nil {
		_ = l.Close()
		return nil, failed("the kernel does not say whose a connection on loopback is (sock_diag)", err)
	}
	return l, nil
}

func failed(what string, err error) error {
	return &agent.Error{Code: agent.CodeConfiguration, Op: "run", Message: what + ": " + err.Error(), Err: err}
}

// try makes a connection to l and asks the kernel whose it is.
func (l *Listener) try() error {
	c, err := net.DialTCP("tcp4", nil, l.tcp.Addr().(*net.TCPAddr))
	if err != nil {
		return err
	}
	defer c.Close()
	in, err := l.tcp.AcceptTCP()
	if err != nil {
		return err
	}
	defer in.Close()
	switch uid, err := l.owners.Of(in); {
	case err != nil:
		return err
	case uid != l.uid:
		return errors.New("it names another user")
	}
	return nil
}

// Accept returns the next connection from a process of this user, and closes the others.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.tcp.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if uid, err := l.owners.Of(c); err == nil && uid == l.uid {
			return c, nil
		}
		_ = c.Close()
	}
}

// Close implements [net.Listener].
func (l *Listener) Close() error {
	_ = l.owners.Close()
	return l.tcp.Close()
}

// Addr implements [net.Listener].
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }
