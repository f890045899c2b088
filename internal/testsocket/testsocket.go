// Package testsocket makes the sockets of tests: [ShortDir] a folder for one, [ServiceManager] the
// one on which systemd listens to its services, and [Serve] a server that is a function.
package testsocket

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ShortDir returns a temporary folder whose path leaves room for the name of a socket: 107
// bytes in all, which that of t.TempDir can exceed.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kyc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// ServiceManager listens as systemd does on $NOTIFY_SOCKET. It returns the socket's path, and
// a function that waits up to 10 s for the next message.
func ServiceManager(t testing.TB) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(ShortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, func() string {
		t.Helper()
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

// Serve calls serve with each connection to ln, and closes it after that. The test closes ln.
func Serve(t testing.TB, ln net.Listener, serve func(net.Conn)) {
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
}

// ServeTCP is Serve on a port of loopback, whose address it returns.
func ServeTCP(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	Serve(t, ln, serve)
	return ln.Addr().String()
}
