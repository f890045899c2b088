package tcpowner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Owners asks the kernel by sock_diag(7). It knows the network name space in which it was made.
type Owners struct {
	mu      sync.Mutex
	netlink *os.File
}

// New returns an Owners for the network name space of this process.
func New() (*Owners, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	return &Owners{netlink: os.NewFile(uintptr(fd), "sock_diag")}, nil
}

// Close closes o. An Of that runs returns first.
func (o *Owners) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.netlink.Close()
}

// Sizes and offsets of <linux/inet_diag.h>; the addresses of both messages are a
// struct inet_diag_sockid of 48 bytes.
const (
	diagRequestLen = 56 // struct inet_diag_req_v2
	diagAnswerLen  = 72 // struct inet_diag_msg
	diagAddresses  = 4  // of the answer
	diagAddrLen    = 40 // without the cookie, and with the interface
	diagUID        = 64
	diagInode      = 68
	tcpListen      = 10 // TCP_LISTEN
)

// Of returns the user of the process that connected.
func (o *Owners) Of(c *net.TCPConn) (uid int, err error) {
	here, ok1 := c.LocalAddr().(*net.TCPAddr)
	there, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return 0, errors.New("not a TCP connection")
	}
	family := byte(unix.AF_INET)
	if here.IP.To4() == nil {
		family = unix.AF_INET6
	}
	request := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+diagRequestLen)
	binary.NativeEndian.PutUint32(request[0:], unix.NLMSG_HDRLEN+diagRequestLen)
	binary.NativeEndian.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST)
	request = append(request, family, unix.IPPROTO_TCP, 0, 0)
	request = append(request, 0xff, 0xff, 0xff, 0xff) // in any state
	addresses := sockID(there, here)
	request = append(append(request, addresses...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // any cookie

	o.mu.Lock()
	defer o.mu.Unlock()
	answer, err := o.exchange(request)
	if err != nil {
		return 0, err
	}
	// A connection that was closed has no inode, and the kernel says 0 for its uid; a
	// listener at the address of one that is gone is no end of it.
	if string(answer[diagAddresses:][:diagAddrLen]) != string(addresses) || answer[1] == tcpListen ||
		binary.NativeEndian.Uint32(answer[diagInode:]) == 0 {
		return 0, errors.New("the connection is closed")
	}
	return int(binary.NativeEndian.Uint32(answer[diagUID:])), nil
}

// sockID returns a struct inet_diag_sockid without the cookie.
func sockID(from, to *net.TCPAddr) []byte {
	id := make([]byte, diagAddrLen)
	binary.BigEndian.PutUint16(id[0:], uint16(from.Port))
	binary.BigEndian.PutUint16(id[2:], uint16(to.Port))
	copy(id[4:20], address(from.IP))
	copy(id[20:36], address(to.IP))
	return id
}

// address returns the bytes of an address as the kernel has them.
func address(ip net.IP) []byte {
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip.To16()
}

// exchange sends a request and returns the struct inet_diag_msg of the answer.
func (o *Owners) exchange(request []byte) ([]byte, error) {
	raw, err := o.netlink.SyscallConn()
	if err != nil {
		return nil, err
	}
	buf, n := make([]byte, 8192), 0
	controlErr := raw.Control(func(fd uintptr) {
		if err = unix.Sendto(int(fd), request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err == nil {
			n, _, err = unix.Recvfrom(int(fd), buf, 0) // the answer is there: the kernel made it in Sendto
		}
	})
	if err := errors.Join(controlErr, err); err != nil {
		return nil, err
	}
	switch kind := binary.NativeEndian.Uint16(buf[4:]); {
	case kind == unix.NLMSG_ERROR && n >= unix.NLMSG_HDRLEN+4:
		return nil, unix.Errno(-int32(binary.NativeEndian.Uint32(buf[unix.NLMSG_HDRLEN:])))
	case kind != unix.SOCK_DIAG_BY_FAMILY || n < unix.NLMSG_HDRLEN+diagAnswerLen:
		return nil, fmt.Errorf("an answer of type %d and %d bytes", kind, n)
	}
	return buf[unix.NLMSG_HDRLEN:n], nil
}

// File returns a duplicate of what an Owners consists of, for a process in another network name
// space, which gets one like it from [FromFile].
func (o *Owners) File() (*os.File, error) {
	fd, err := unix.FcntlInt(o.netlink.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "sock_diag"), nil
}

// FromFile returns the Owners whose File this is. The file is its own from then on.
func FromFile(f *os.File) *Owners { return &Owners{netlink: f} }
