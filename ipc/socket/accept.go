package socket

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxRefusals bounds the processes of other users that are being told at one time
	// why they are refused; the connections of any more are closed without a word.
	maxRefusals    = 8
	refusalTimeout = time.Second
	// maxUnread bounds what is read of a refused request.
	maxUnread = 64 << 10
)

// A Listener listens on a socket for the processes of one user, its owner.
type Listener struct {
	path     string
	folders  []string // the private ones that hold the socket, the outermost first
	lockFile string
	owner    int
	refusals chan struct{} // holds one value per refusal that is being written
	accepted chan accepted // closed after Close, when there is no connection left
	// alone is the one binding, from which AcceptAny takes connections itself; nil if there are
	// several, or were, and connections come over accepted.
	alone atomic.Pointer[binding]

	mu       sync.Mutex
	bindings []*binding  // the last one is that at path, if any is
	seen     fs.FileInfo // what was at path when it was last known to lead here
	lock     *os.File    // nil if the service manager made the socket
	systemd  *binding    // the one that the service manager made; nil if it made none
	open     bool        // AcceptAny reads accepted, so there is somebody to accept for
	begin    sync.Once   // sets open
	closed   bool
	// handedOver is set by HandOver: the file at path stays for the next image.
	handedOver bool
	closing    chan struct{} // closed by Close
	running    sync.WaitGroup
}

// newListener returns a Listener without a binding.
func newListener(path, lockFile string, folders ...string) *Listener {
	return &Listener{
		path: path, folders: folders, lockFile: lockFile, owner: os.Getuid(),
		refusals: make(chan struct{}, maxRefusals), accepted: make(chan accepted), closing: make(chan struct{}),
	}
}

// Accept returns the next connection from a process of the owner. It refuses those of
// other users.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptAny()
		if err != nil {
			return nil, err
		}
		if c.FromOwner() {
			return c.UnixConn, nil
		}
		c.Refuse()
	}
}

// AcceptAny returns the next connection, whatever user it is from, for a caller that logs
// refusals or has something for other users. The caller calls Refuse for the others. After
// Close it returns the connections that were accepted before, and then [net.ErrClosed].
func (l *Listener) AcceptAny() (*Conn, error) {
	c, err := l.acceptAlone()
	if errors.Is(err, net.ErrClosed) {
		c, err = l.acceptShared()
	}
	if err != nil {
		return nil, err
	}
	out := &Conn{UnixConn: c, Owner: l.owner, refusals: l.refusals}
	if out.Peer, out.PeerErr = PeerOf(c); out.PeerErr != nil {
		out.Peer = Peer{UID: -1} // uid 0 would be root's
	}
	return out, nil
}

// Close stops listening. It removes what Listen made first, so that no client finds a
// socket that nobody answers.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.closing)
	for _, b := range l.bindings {
		if !l.handedOver {
			b.remove()
		}
	}
	if l.lock != nil {
		_ = l.lock.Close()
	}
	var failed error
	for _, b := range l.bindings {
		failed = errors.Join(failed, b.close())
	}
	go func() {
		l.running.Wait()
		close(l.accepted)
	}()
	return failed
}

// Addr returns the address of the socket: its path.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// A Conn is a connection that was accepted but not yet admitted.
type Conn struct {
	*net.UnixConn
	Owner   int   // the uid whose processes the socket is for
	Peer    Peer  // the process that connected
	PeerErr error // why the kernel does not name the peer; its UID is then -1

	refusals chan struct{}
}

// FromOwner reports whether a process of the owner connected.
func (c *Conn) FromOwner() bool { return c.PeerErr == nil && c.Peer.UID == c.Owner }

// Refuse closes the connection. It tells a process of another user why, in the
// background: the next Accept does not wait for it.
func (c *Conn) Refuse() {
	if c.PeerErr != nil {
		_ = c.Close()
		return
	}
	select {
	case c.refusals <- struct{}{}:
		go func() {
			defer func() { <-c.refusals }()
			c.writeForbidden()
		}()
	default:
		_ = c.Close()
	}
}

// writeForbidden answers a request that it has not read. It reads the request
// afterwards: a socket that is closed with unread data gives the peer ECONNRESET.
func (c *Conn) writeForbidden() {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(refusalTimeout))
	line := fmt.Sprintf("this agent belongs to uid %d, you are uid %d\n", c.Owner, c.Peer.UID)
	_, _ = fmt.Fprintf(c, "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(line), line)
	_ = c.CloseWrite()
	_, _ = io.CopyN(io.Discard, c, maxUnread)
}
