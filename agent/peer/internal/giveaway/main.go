//go:build unix

// Command giveaway connects to the socket of its argument, sends the connection on its descriptor
// 3, and ends: what it connected has an owner then that is gone. The tests of package peer run it,
// as the test binary itself would start a race detector each time.
package main

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	c, err := net.Dial("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	f, err := c.(*net.UnixConn).File()
	if err != nil {
		panic(err)
	}
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0); err != nil {
		panic(err)
	}
}
