// Package browser is this machine's side of a sign-in with a browser: it waits on loopback for
// the browser to return, starts a browser, and has the page that the person sees last.
//
// [Listen] takes the first free port, [Callback.Expect] says for what, [Callback.Received]
// yields the address to which the browser returned, and [Callback.Finish] shows the outcome
// there. [Open] starts a browser, if there is one.
package browser

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/internal/tcpowner"
)

// A Callback listens at a redirect URI. It answers one path on loopback, to requests that name
// its host, and takes the first answer of the sign-in that it expects.
type Callback struct {
	URI string

	target   *url.URL
	server   *http.Server
	received chan string
	finished chan struct{} // closed after outcome is set

	mu       sync.Mutex
	expected bool
	state    string // empty after a sign-out, which has none
	taken    bool   // received has had its value
	outcome  Page
	ignored  func(why string)
}

// Listen listens at the first of uris whose port is free. The error names every port.
func Listen(uris []string) (*Callback, error) {
	var causes []string
	for _, uri := range uris {
		listeners, err := listenAt(uri)
		if err == nil {
			return serve(uri, listeners), nil
		}
		causes = append(causes, err.Error())
	}
	return nil, errors.New(strings.Join(causes, ", "))
}

// listenAt listens at the host and port of uri. "localhost" is both loopback addresses: a
// browser may try either first, and who has the other would get its code.
func listenAt(uri string) (listeners []net.Listener, err error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, errors.New("a redirect URI that is no URL")
	}
	hosts := []string{u.Hostname()}
	if u.Hostname() == "localhost" {
		hosts = []string{"127.0.0.1", "::1"}
	}
	for i, host := range hosts {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, u.Port()))
		if i > 0 && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
			break // no IPv6 here
		}
		if err != nil {
			for _, ln := range listeners {
				_ = ln.Close()
			}
			return nil, fmt.Errorf("%s: %s", net.JoinHostPort(host, u.Port()), listenProblem(err))
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

func listenProblem(err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return "in use"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return "cannot listen"
}

func serve(uri string, listeners []net.Listener) *Callback {
	target, _ := url.Parse(uri) // listenAt has
	c := &Callback{
		URI: uri, target: target,
		received: make(chan string, 1), finished: make(chan struct{}), ignored: func(string) {},
	}
	c.server = &http.Server{
		Handler: c, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	owners, _ := tcpowner.New() // without it the state alone decides
	for _, ln := range listeners {
		go func() { _ = c.server.Serve(&ownListener{ln, owners, c}) }()
	}
	return c
}

// An ownListener drops connections of other users of this machine: the command line of a
// browser, which they can read, has the state. Root is let through, because what forwards a port
// into a container or a virtual machine may run as root.
type ownListener struct {
	net.Listener
	owners   *tcpowner.Owners
	callback *Callback
}

// Accept implements [net.Listener].
func (l *ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		tcp, ok := conn.(*net.TCPConn)
		if err != nil || !ok || l.owners == nil {
			return conn, err
		}
		if uid, err := l.owners.Of(tcp); err != nil || uid == 0 || uid == os.Getuid() {
			return conn, nil
		}
		l.callback.ignore("it comes from another user of this machine")
		_ = conn.Close()
	}
}

// Expect sets the state that a callback must have; after a sign-out it is "" and there is none.
// ignored is told, in words, of requests that are not the expected one.
func (c *Callback) Expect(state string, ignored func(why string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected, c.state, c.ignored = true, state, ignored
}

// Received yields the address to which the browser returned, once.
func (c *Callback) Received() <-chan string { return c.received }

// Finish shows the outcome to the browser that has returned, and closes c.
func (c *Callback) Finish(outcome Page) {
	c.mu.Lock()
	c.outcome = outcome
	c.mu.Unlock()
	close(c.finished)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		_ = c.server.Close()
	}
}

// ServeHTTP implements [http.Handler].
func (c *Callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Host != c.target.Host:
		// Somebody else's name leads here (DNS rebinding).
		c.refuse(w, http.StatusMisdirectedRequest, "its Host is not "+c.target.Host, pageElsewhere)
	case strings.TrimPrefix(r.URL.EscapedPath(), "/") != strings.TrimPrefix(c.target.EscapedPath(), "/"):
		pageNotFound.write(w, http.StatusNotFound) // a favicon
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		c.refuse(w, http.StatusMethodNotAllowed, "its method is not GET", pageElsewhere)
	default:
		c.serveCallback(w, r)
	}
}

func (c *Callback) refuse(w http.ResponseWriter, status int, why string, page Page) {
	c.ignore(why)
	page.write(w, status)
}

func (c *Callback) ignore(why string) {
	c.mu.Lock()
	ignored := c.ignored
	c.mu.Unlock()
	ignored(why)
}

func (c *Callback) serveCallback(w http.ResponseWriter, r *http.Request) {
	status, why := c.take(r)
	if why != "" {
		page := pageElsewhere
		if status == http.StatusConflict {
			page = pageTwice
		}
		c.refuse(w, status, why, page)
		return
	}
	select {
	case <-c.finished:
		c.mu.Lock()
		outcome := c.outcome
		c.mu.Unlock()
		outcome.write(w, http.StatusOK)
	case <-r.Context().Done():
	}
}

// take takes a request for the answer, or says why it is none.
func (c *Callback) take(r *http.Request) (status int, why string) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	c.mu.Lock()
	defer c.mu.Unlock()
	state := query["state"]
	switch {
	case !c.expected:
		return http.StatusBadRequest, "no sign-in has begun"
	case c.state == "" && c.taken, c.state == "" && r.URL.RawQuery != "":
		return http.StatusBadRequest, "the sign-out is over"
	case c.state == "":
	case err != nil || len(state) != 1 || len(query["code"])+len(query["error"]) != 1:
		return http.StatusBadRequest, "it has not one state and one code or error"
	case subtle.ConstantTimeCompare([]byte(state[0]), []byte(c.state)) != 1:
		return http.StatusBadRequest, "its state is not that of this sign-in"
	case c.taken:
		return http.StatusConflict, "the browser has returned already"
	}
	c.taken = true
	c.received <- c.URI + "?" + r.URL.RawQuery
	return 0, ""
}
