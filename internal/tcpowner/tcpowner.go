// Package tcpowner asks the kernel whose the other end of a TCP connection on loopback is.
//
// There are two calls: [New], once, and [Owners.Of] for a connection that was accepted. Only
// Linux answers; elsewhere everybody is taken for the user of this process.
package tcpowner
