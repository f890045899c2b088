package ipc

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	// maxHeader is what net/http is told so that a request's head may have 8 KiB: it
	// reads 4 KiB more than it is told.
	maxHeader = 4 << 10

	headerTimeout = 5 * time.Second  // for the head of a request
	readTimeout   = 10 * time.Second // for the whole of it
	idleTimeout   = time.Minute      // between two requests of a connection

	defaultGrace = 3 * time.Second
)

var discard = slog.New(slog.DiscardHandler)

// A Server serves an [agent.Service] over a listener. Set the fields before the
// first call of Serve.
type Server struct {
	Service agent.Service
	// Reload reads the configuration again for POST /v1/reload; nil refuses that call.
	Reload func(context.Context) error
	Logger *slog.Logger // nil discards
	// Proxy forwards requests for a host that names an environment to its API, with
	// the Authorization header put on. Without it they are refused.
	Proxy bool
	// Version is told to clients, who may be of another; empty tells nothing.
	Version string
	// BinaryReplaced reports whether the program on the disk is another than the one that
	// runs; nil is never.
	BinaryReplaced func() bool
	// Metrics answers GET /v1/metrics in the form that the request's header asks for;
	// nil refuses that call.
	Metrics func(ctx context.Context, request http.Header) (mediaType string, body []byte, err error)
	// OnRequest is told of every request that was answered. It must not block.
	OnRequest func(RequestInfo)
	// Grace is how long requests in hand may go on once Serve was told to stop; 0
	// means 3 seconds.
	Grace time.Duration

	dialAPI dialFunc // for tests; nil means the network
}

// Serve answers requests on ln until ctx ends. Then it closes ln, lets the requests
// in hand finish within Grace, and returns nil. Any other error means that ln is
// broken. Sign-ins and
// recoveries are given up when Serve returns.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	log := s.Logger
	if log == nil {
		log = discard
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	a := &api{service: s.Service, reload: s.Reload, log: log, base: base, version: s.Version, replaced: s.BinaryReplaced, figures: s.Metrics, observe: s.OnRequest}
	a.desk = newDesk(base, a.crashed)
	if s.Proxy {
		a.proxy = newProxy(a, s.dialAPI)
		defer a.proxy.transport.CloseIdleConnections()
	}
	live := &liveConns{conns: map[net.Conn]bool{}}
	srv := newHTTPServer(a, live)
	units := &unitCredentialServer{api: a, live: live, slots: make(chan struct{}, maxUnits)}

	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	if l, ok := ln.(anyListener); ok {
		ln = &peerListener{l, log, units}
	}
	err := srv.Serve(&retryListener{ln, ctx, log})

	grace := s.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	a.desk.close()
	srv.SetKeepAlivesEnabled(false) // ends idle connections now, the others after their answer
	live.drain(grace)
	cancel()
	_ = srv.Close()
	a.desk.wait(grace)
	units.wg.Wait() // their limits are not longer than those of requests
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("socket: %w", err)
}

func newHTTPServer(a *api, live *liveConns) *http.Server {
	return &http.Server{
		Handler:           a,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout, // for net/http's own answers; ours set theirs
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.New(httpFaults{a.log}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return a.base },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return withForwarded(withPeer(ctx, c)) },
		ConnState:         live.track,

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is refused like the rest
	}
}

// httpFaults logs that net/http has something to say, and not what: its lines quote
// headers and the values of panics. Accept errors and failed requests have lines of
// their own.
type httpFaults struct{ log *slog.Logger }

func (f httpFaults) Write(p []byte) (int, error) {
	f.log.Warn("net/http reported a fault; its words are left out, for they may quote a request or an answer")
	return len(p), nil
}

// liveConns tracks the connections that have an unanswered request, or may have one that
// is still arriving. http.Server.Shutdown would wait for them too (it counts a new
// connection as busy for five seconds), but it polls, and it does not know the connections
// of service managers.
type liveConns struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	empty chan struct{} // closed when conns is empty; nil before drain
}

func (l *liveConns) track(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		l.conns[c] = true
	default:
		delete(l.conns, c)
	}
	l.checkLocked()
}

func (l *liveConns) checkLocked() {
	if l.empty != nil && len(l.conns) == 0 {
		close(l.empty)
		l.empty = nil
	}
}

// drain waits until there are none, for at most limit.
func (l *liveConns) drain(limit time.Duration) {
	empty := make(chan struct{})
	l.mu.Lock()
	l.empty = empty
	l.checkLocked()
	l.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-empty:
	case <-timer.C:
	}
}
