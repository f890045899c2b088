package cognitotest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Server is a user pool with its app clients, started by New or NewInMemory, which set the
// exported fields. They must not be changed, with the exception described at Handler.
type Server struct {
	URL      string // the API's endpoint, without a slash at the end: "http://127.0.0.1:41233"
	Region   string // "us-east-2"
	PoolID   string // "us-east-2_cognitote"
	ClientID string // the first app client, see AddClient

	addr    string
	now     func() time.Time
	http    *http.Server
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	client  *http.Client
	stopped sync.WaitGroup
	closed  chan struct{} // closed by Close: ends hanging calls
	close   sync.Once

	calls  callLog
	faults faults

	mu       sync.Mutex // guards everything below; held while a call is processed
	set      settings
	clients  map[string]bool
	users    map[string]*user // by name
	sessions map[string]*session
	proofs   map[string]*session       // SRP handshakes, by secret block
	tokens   map[string]*refreshToken  // every refresh token ever issued
	codes    map[string]*authorization // authorization codes, also burnt ones
	families map[string]*family        // sign-ins, by event_id
	messages []Message                 // oldest first
	keys     []keyPair                 // oldest first; the last one signs
	nextKey  int
	forgery  Forgery
	forge    int // tokens still to forge; below 0: all
	counts   counts
}

// New starts a pool on a free port of 127.0.0.1. The caller calls Close.
func New(opts ...Option) *Server {
	s := newServer(opts)
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		panic("cognitotest: cannot listen on " + s.addr + ": " + err.Error())
	}
	s.URL = "http://" + ln.Addr().String()
	s.start(ln, &net.Dialer{})
	return s
}

// NewInMemory starts a pool that only [Server.Client] and [ClientOf] can reach. It opens no
// socket, so it works in a testing/synctest bubble if it is started inside the bubble. Its URL
// is a unique loopback address, on which nothing listens.
func NewInMemory(opts ...Option) *Server {
	s := newServer(opts)
	s.URL = fmt.Sprintf("http://127.0.0.1:%d", inMemory.Add(1))
	ln := newPipeListener()
	s.start(ln, ln)
	return s
}

// inMemory numbers the servers of NewInMemory; the number stands for a port.
var inMemory atomic.Uint32

func newServer(opts []Option) *Server {
	s := &Server{
		Region:   "us-east-2",
		PoolID:   "us-east-2_cognitote",
		ClientID: "4cognitotest0client0number1",
		addr:     "127.0.0.1:0",
		now:      time.Now,
		closed:   make(chan struct{}),
		set:      defaults(),
		clients:  map[string]bool{},
		users:    map[string]*user{},
		sessions: map[string]*session{},
		proofs:   map[string]*session{},
		tokens:   map[string]*refreshToken{},
		codes:    map[string]*authorization{},
		families: map[string]*family{},
	}
	s.calls.changed = make(chan struct{})
	s.faults.gate = make(chan struct{})
	for _, o := range opts {
		o.apply(s)
	}
	s.clients[s.ClientID] = true
	s.addKeys()
	return s
}

type dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// ClientOf returns an HTTP client that reaches only the given servers, in memory or not.
func ClientOf(servers ...*Server) *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		for _, s := range servers {
			if s.URL == "http://"+addr {
				return s.dial(ctx, network, addr)
			}
		}
		return nil, fmt.Errorf("cognitotest: no server at %s", addr)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16}}
}

func (s *Server) start(ln net.Listener, d dialer) {
	s.dial = d.DialContext
	s.client = ClientOf(s)
	s.http = &http.Server{Handler: s.Handler(), ErrorLog: discardLog}
	s.stopped.Go(func() { _ = s.http.Serve(ln) })
}

// Close ends every call in progress, including hanging ones, and stops listening.
func (s *Server) Close() {
	s.close.Do(func() {
		close(s.closed)
		_ = s.http.Close()
		s.stopped.Wait()
		s.client.CloseIdleConnections()
	})
}

// Client returns an HTTP client that reaches this server, also one of NewInMemory.
func (s *Server) Client() *http.Client { return s.client }

// Issuer returns the iss of its tokens, unless [TokenIssuer] is set: URL, a slash and PoolID.
func (s *Server) Issuer() string { return s.URL + "/" + s.PoolID }

// JWKSURL returns the URL of its signing keys.
func (s *Server) JWKSURL() string { return s.Issuer() + "/.well-known/jwks.json" }

// Handler serves the whole pool: the API at POST /, the JWK set below the pool's id, and the
// domain's /oauth2/authorize, /login, /oauth2/token and /logout. New
// serves it already. It is exported for tests with their own listener; these must set URL to
// the address of that listener before the first call.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", s.serveAPI)
	s.addManagedLogin(mux)
	mux.HandleFunc("GET /"+s.PoolID+"/.well-known/jwks.json", s.serveJWKS)
	return mux
}

// clock returns the time that the server puts into tokens and the Date header, which ClockSkew
// can set wrong. Deadlines inside the server use now.
func (s *Server) clock() time.Time { return s.now().Add(s.set.skew) }
