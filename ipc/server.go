package ipc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy/pace"
)

const (
	// maxHeader makes net/http accept a request's head of 8 KiB: it reads 4 KiB more than
	// this.
	maxHeader = 4 << 10

	headerTimeout = 5 * time.Second  // for the head of a request
	readTimeout   = 10 * time.Second // for the whole of it
	idleTimeout   = time.Minute      // between two requests of a connection

	defaultGrace = 3 * time.Second
	// graceAtOnce is for the answer to the request that ends everything.
	graceAtOnce = 200 * time.Millisecond
)

// ErrAtOnce is a cause of the end of Serve's context: requests get no time to finish.
var ErrAtOnce = errors.New("at once")

var noLog = slog.New(slog.DiscardHandler)

// A Server serves an [agent.Service] over a listener. Set the fields before the first call
// of Serve.
type Server struct {
	Service agent.Service
	// Restricted takes the place of Service on a socket with a policy: what the policy allows
	// is answered, at its rate, and nothing else, whatever the other fields are.
	Restricted *agent.Restricted
	// Reload reloads the configuration for POST /v1/reload, with the passphrase that a person typed
	// for it, if any, and the refusal that they were shown before; nil refuses that call.
	Reload func(ctx context.Context, p Passphrase, shown string) error
	// Daemon does what only its owner may ask for, on the agent's own socket; nil refuses that.
	Daemon Daemon
	Logger *slog.Logger // nil discards
	// Proxy forwards requests for a host that names an environment to its API, and adds
	// the Authorization header. Without it they are refused.
	Proxy bool
	// Pace keeps forwarded requests within the APIs' limits. All servers of a machine should
	// have the same one; nil is one for this server alone.
	Pace *pace.Pacer
	// Name is that of the socket, "" for the agent's own. The sockets take turns at an API.
	Name string
	// Version is sent to clients so that they can detect a mismatch; empty omits it.
	Version string
	// BinaryReplaced reports whether the binary on disk has been replaced since the start;
	// nil means that it has not.
	BinaryReplaced func() bool
	// Approvals decides what programs may have that a person has to approve first; nil asks
	// nobody. All servers of an agent should have the same.
	Approvals *approval.Approvals
	// Prover knows the passphrase that an approval needs; nil needs none.
	Prover Prover
	// Metrics answers GET /v1/metrics. It should answer 200, in the format that Accept asks
	// for: the text of any other answer is only logged. nil refuses that call.
	Metrics http.Handler
	// OnRequest is called once for every request, when its answer is known or has been sent. It
	// must not block.
	OnRequest func(RequestInfo)
	// Audit takes what is handed out, and what is refused; nil records nothing.
	Audit audit.Recorder
	// Grace is how long requests may take to finish after Serve was told to stop; 0 means
	// 3 seconds.
	Grace time.Duration

	dialAPI          apiproxy.DialFunc // for tests; nil means the network
	inPlaceOfHandler http.Handler      // for measurements; nil means the handler
}

// Serve answers requests on ln until ctx ends. Then it closes ln, gives the requests that
// are being answered Grace to finish, cancels sign-ins and recoveries, and returns nil. Any
// other error means that ln is broken.
//
// On a *[socket.Listener] it answers processes of the socket's owner, and service managers
// that ask for a unit's credential. Any other listener has to choose its clients itself.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	h := s.newHandler(serving)
	if h.proxy != nil {
		h.proxy.Stopping = ctx.Done()
		defer h.proxy.Transport.CloseIdleConnections()
	}
	live := &liveConns{other: map[net.Conn]bool{}}
	srv := newHTTPServer(h, live)
	srv.Handler = cmp.Or[http.Handler](s.inPlaceOfHandler, h)
	units := &unitCredentialServer{handler: h, live: live, slots: make(chan struct{}, maxUnits)}

	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	accepted := ln
	if l, ok := ln.(anyListener); ok {
		accepted = &peerListener{l, h.log, h.limit, units, h.audit}
	}
	err := srv.Serve(&retryListener{accepted, ctx, h.log, h.limit})

	grace := cmp.Or(s.Grace, defaultGrace)
	if errors.Is(context.Cause(ctx), ErrAtOnce) {
		grace = min(grace, graceAtOnce)
	}
	h.conversations.close()
	srv.SetKeepAlivesEnabled(false) // ends idle connections now, the others after their answer
	live.drain(grace)
	cancel()
	_ = srv.Close()
	h.conversations.wait(grace)
	units.wg.Wait() // their deadlines are not later than those of requests
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("socket: %w", err)
}

// newHandler returns the handler of one Serve.
func (s *Server) newHandler(serving context.Context) *handler {
	h := &handler{
		service: s.Service, restricted: s.Restricted, reload: s.Reload, daemon: s.Daemon, metrics: s.Metrics, binaryReplaced: s.BinaryReplaced,
		onRequest: s.OnRequest, log: cmp.Or(s.Logger, noLog), limit: &logLimit{}, serving: serving,
		audit:     auditor{s.Audit, s.Name, new(lastPeer)},
		approvals: s.Approvals, prover: s.Prover, socket: s.Name,
	}
	if s.Version != "" {
		h.version = []string{s.Version}
	}
	h.conversations = newConversations(serving, h.logPanic)
	if s.Proxy {
		h.proxy = &apiproxy.Proxy{
			Transport: apiproxy.NewTransport(s.dialAPI), TokenTimeout: tokenTimeout, Serving: serving, OnPanic: h.logPanic,
			Pace: cmp.Or(s.Pace, pace.New(h.log)), Client: s.clientOf, HungUp: hungUp, OnUse: h.audit.forwarded,
			Confirm: h.confirmForward,
		}
	}
	if s.Restricted != nil {
		h.restrict(s.Restricted)
	} else if s.Proxy {
		h.proxy.Token = s.Service.Token
	}
	return h
}

// clientOf says who sends a request.
func (s *Server) clientOf(r *http.Request) pace.Client {
	return pace.Client{Socket: s.Name, PID: peerOf(r).PID}
}

func newHTTPServer(h *handler, live *liveConns) *http.Server {
	return &http.Server{
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout, // for answers at once; response.write sets its own
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.New(httpFaults{h.log, h.limit}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return h.serving },
		ConnContext:       withConnection,
		ConnState:         live.track,

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is refused like the rest
	}
}

// httpFaults logs that net/http reported something, and not what: its lines quote headers
// and the values of panics. Accept errors and failed requests have other lines.
type httpFaults struct {
	log   *slog.Logger
	limit *logLimit
}

func (f httpFaults) Write(p []byte) (int, error) {
	level := f.limit.level(slog.LevelWarn, logKey{op: "http"})
	f.log.Log(context.Background(), level, "net/http reported a fault; its words are left out, for they may quote a request or an answer")
	return len(p), nil
}

// liveConns tracks the connections that have an unanswered request, or may have one that
// is still arriving. http.Server.Shutdown would wait for them too (it counts a new
// connection as busy for five seconds), but it polls, and it does not know the connections
// of service managers.
type liveConns struct {
	mu    sync.Mutex
	n     int               // how many there are
	other map[net.Conn]bool // those that are no clientConn, which knows by itself
	empty chan struct{}     // closed when there are none; nil before drain
}

func (l *liveConns) track(c net.Conn, state http.ConnState) {
	live := state == http.StateNew || state == http.StateActive
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.setLocked(c, live) == live {
		return
	}
	if live {
		l.n++
	} else {
		l.n--
	}
	l.checkLocked()
}

// setLocked returns whether c was live before.
func (l *liveConns) setLocked(c net.Conn, live bool) (was bool) {
	if own, ok := c.(*clientConn); ok {
		was, own.live = own.live, live
		return was
	}
	was = l.other[c]
	if live {
		l.other[c] = true
	} else {
		delete(l.other, c)
	}
	return was
}

func (l *liveConns) checkLocked() {
	if l.empty != nil && l.n == 0 {
		close(l.empty)
		l.empty = nil
	}
}

// drain waits until there are no such connections, for at most limit.
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
