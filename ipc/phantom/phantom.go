// Package phantom lends an environment's API to one command, without a token: the command gets
// a URL on loopback and a phantom, a random word that stands for the token and is worth nothing
// anywhere else.
//
//	ln, err := phantom.Listen()                       // 127.0.0.1, a free port
//	s, err := phantom.NewServer(client, policy, ln)   // a policy of one environment
//	go s.Serve(ctx)
//	cmd.Env = append(cmd.Env, s.Environ()...)         // KYC_API_URL and KYC_TOKEN
//
// A request is forwarded over the agent's socket, and the agent adds the token: this process
// never has one. It is refused unless it comes from a process of this user (Linux only), names
// the listener as its Host, is not from a browser, has the phantom as its bearer token, and is
// allowed by the policy. Errors are problems, as on the agent's socket.
//
// The listener has to stay open for as long as anything has the phantom: who gets the port
// after it could read requests and forge answers.
package phantom

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/discard"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

const (
	// maxHeader makes net/http accept a request's head of 16 KiB: it reads 4 KiB more.
	maxHeader     = 12 << 10
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	idleTimeout   = time.Minute

	phantomBytes = 32
)

// A Server forwards the requests of one command.
type Server struct {
	listener    *Listener
	environment string
	phantom     string
	relay       *apiproxy.Proxy
	serving     context.Context
	cancel      context.CancelFunc
}

// NewServer returns a server that forwards what policy allows to the API of its one
// environment, by way of the agent that client calls.
func NewServer(client *ipc.Client, policy agent.Policy, ln *Listener) (*Server, error) {
	if err := policy.Check(); err != nil {
		return nil, wire.UsageError("%v", err)
	}
	if len(policy.Environments) != 1 || policy.Environments[0] == wire.Host {
		return nil, wire.UsageError("a command gets the API of one environment, and not of one called %s", wire.Host)
	}
	random := make([]byte, phantomBytes)
	_, _ = rand.Read(random) // never fails
	s := &Server{listener: ln, environment: policy.Environments[0], phantom: base64.RawURLEncoding.EncodeToString(random)}
	s.serving, s.cancel = context.WithCancel(context.Background())
	s.relay = client.Relay(s.serving, &policy, func(any) error { return &agent.Error{Code: agent.CodeInternal} })
	return s, nil
}

// Environ returns the variables that a command needs: KYC_API_URL and KYC_TOKEN.
func (s *Server) Environ() []string {
	return []string{"KYC_API_URL=http://" + s.listener.Addr().String(), "KYC_TOKEN=" + s.phantom}
}

// Serve answers requests until ctx ends. Then it cuts off those that are being answered and
// closes the listener.
func (s *Server) Serve(ctx context.Context) error {
	defer s.cancel()
	srv := &http.Server{
		Handler:           s,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		WriteTimeout:      apiproxy.StallTimeout,      // for net/http's own answers; the relay sets its own
		ReadTimeout:       readTimeout,                // of a body that is read whole
		ErrorLog:          log.New(io.Discard, "", 0), // it quotes requests
	}
	srv.DisableGeneralOptionsHandler = true
	stop := context.AfterFunc(ctx, func() {
		s.cancel()
		_ = srv.Close()
	})
	defer stop()
	err := srv.Serve(s.listener)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.check(r); err != nil {
		discard.Request(w, r)
		if e, ok := errors.AsType[*wire.StatusError](err); ok && e.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		ipc.WriteError(w, err)
		return
	}
	out := r.Clone(r.Context())
	out.Host = s.environment
	out.Header.Del("Authorization") // the phantom stays here
	_, _, began, err := s.relay.Forward(w, out)
	switch {
	case err == nil:
	case began:
		panic(http.ErrAbortHandler)
	default:
		ipc.WriteError(w, explain(err))
	}
}

// check refuses a request that is not the command's. No text of the request is in the error.
func (s *Server) check(r *http.Request) error {
	if r.Host != s.listener.Addr().String() {
		return denied("a request for another host is refused", "use KYC_API_URL as it is")
	}
	for _, name := range []string{"Origin", "Referer", "Sec-Fetch-Site"} { // Node's fetch sends Sec-Fetch-Mode
		if _, ok := r.Header[name]; ok {
			return denied("a request with "+name+" is refused: browsers have no business here", "")
		}
	}
	if !s.isPhantom(r.Header["Authorization"]) {
		err := denied("KYC_TOKEN is not the bearer token of this request, or is that of another command", "send Authorization: Bearer $KYC_TOKEN")
		return &wire.StatusError{Status: http.StatusUnauthorized, Err: err}
	}
	if s.leaks(r) {
		return denied("KYC_TOKEN is refused in a URL and in any header but Authorization", "send Authorization: Bearer $KYC_TOKEN")
	}
	return nil
}

func denied(message, hint string) *agent.Error {
	return &agent.Error{Code: agent.CodeDenied, Op: "request", Message: message, Hint: hint}
}

// isPhantom takes the same time for every word of the phantom's length.
func (s *Server) isPhantom(authorization []string) bool {
	if len(authorization) != 1 {
		return false
	}
	scheme, word, _ := strings.Cut(authorization[0], " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(strings.TrimSpace(word)), []byte(s.phantom)) == 1
}

// leaks reports whether the API, and its logs, would see the phantom.
func (s *Server) leaks(r *http.Request) bool {
	if strings.Contains(r.RequestURI, s.phantom) {
		return true
	}
	for name, values := range r.Header {
		if name != "Authorization" && strings.Contains(strings.Join(values, "\n"), s.phantom) {
			return true
		}
	}
	return false
}

// explain returns err with a next step for who has only KYC_API_URL.
func explain(err error) error {
	e, ok := errors.AsType[*agent.Error](err)
	if !ok || e.Code != agent.CodeDenied || e.Op != "proxy" {
		return err
	}
	out := *e
	out.Hint = "start the command with an --allow-path or --allow-method for it"
	return &out
}
