// Package freeport finds ports of loopback for programs that tests start, which cannot be given a
// listener:
//
//	port, err := freeport.Find()
//
// The port is free until the program listens on it, and again while the program restarts. For port 0,
// and for each connection, the kernel takes a port of a range of its own (ip_local_port_range: of
// Linux it begins with 32768, of macOS with 49152). Other tests do both all the time, so a port of
// that range would be somebody else's by then, now and again. Find returns none of it.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

const first, end = 16384, 32768

var (
	mu   sync.Mutex
	next = rand.N(end - first) // processes begin at different ports
)

// Find returns a port that nobody listens on. A process is given each port once.
func Find() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	var err error
	for range end - first {
		port := first + next
		next = (next + 1) % (end - first)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port of 127.0.0.1 from %d to %d: %w", first, end-1, err)
}
