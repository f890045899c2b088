package freeport_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer/freeport"
)

// A port stays free while others connect and listen, and is found once.
func TestFind(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	found := map[int]bool{}
	for range 100 {
		port, err := freeport.Find()
		if err != nil || found[port] {
			t.Fatalf("port %d: %v, found before: %t", port, err, found[port])
		}
		found[port] = true
	}
	for range 500 {
		c, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, addr := range []net.Addr{c.LocalAddr(), l.Addr()} {
			if port := addr.(*net.TCPAddr).Port; found[port] {
				t.Fatalf("the kernel has given port %d away", port)
			}
		}
	}
	for port := range found {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	for range 200 {
		if port, err := freeport.Find(); err != nil || found[port] {
			t.Fatalf("port %d, which is taken: %v", port, err)
		}
	}
}
