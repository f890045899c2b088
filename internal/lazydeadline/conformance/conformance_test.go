// Package conformance runs the conformance test of net.Conn. It stands alone so that programs which
// import ipc/tokensource do not get its module.
package conformance

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/legaltalent/kyc-agent/internal/lazydeadline"
)

// TestConn has a lazy end and a plain one, and two lazy ones.
func TestConn(t *testing.T) {
	for name, other := range map[string]func(*net.UnixConn) (net.Conn, error){
		"and a plain one": func(c *net.UnixConn) (net.Conn, error) { return c, nil },
		"both":            newConn,
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"}
				ln, err := net.ListenUnix("unix", addr)
				if err != nil {
					return nil, nil, nil, err
				}
				defer ln.Close()
				dialled, err := net.DialUnix("unix", nil, addr)
				if err != nil {
					return nil, nil, nil, err
				}
				accepted, err := ln.AcceptUnix()
				if err != nil {
					return nil, nil, nil, err
				}
				c1, err1 := newConn(accepted)
				c2, err2 := other(dialled)
				return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, errors.Join(err1, err2)
			})
		})
	}
}

func newConn(u *net.UnixConn) (net.Conn, error) {
	c := &lazydeadline.Conn{}
	return c, c.Init(u)
}
