package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

const (
	user     = fakecognito.User
	password = fakecognito.Password
)

// The exit codes of kyc-token, from its help text. Answers of the socket and of the proxy
// are counted as the exit code that kyc-token has for them.
const (
	exitOK        = 0
	exitUsage     = 64
	exitNoAgent   = 69
	exitInternal  = 70
	exitTemporary = 75
	exitDenied    = 77
	exitConfig    = 78
)

// exitOf has the exit code for each code of a problem.
var exitOf = map[string]int{
	"usage": exitUsage, "login_required": exitDenied, "denied": exitDenied, "locked": exitDenied,
	"unknown_environment": exitConfig, "configuration": exitConfig,
	"throttled": exitTemporary, "unavailable": exitTemporary, "internal": exitInternal,
}

// An answer is what a client got.
type answer struct {
	env, client string
	begun       time.Time
	took        time.Duration
	exit        int
	text        string // of an error
}

// wantsYoung reports whether it is an answer to a request for a token that is younger than
// the one in memory, as the phases and the proofs make them.
func (a answer) wantsYoung() bool { return a.client == "forced" || a.client == "proof" }

// clientTimeout is how long clients wait that have no limit themselves. It is more than the
// 8 seconds that no answer may take.
const clientTimeout = 12 * time.Second

// startClients starts three clients of an environment, which ask until ctx ends.
func (s *soak) startClients(ctx context.Context, e *environment) {
	for _, c := range []struct {
		name  string
		pause time.Duration
		ask   func(context.Context, *environment) (int, string)
	}{
		{"kyc-token", 250 * time.Millisecond, s.askToken},
		{"socket", 100 * time.Millisecond, s.askSocket},
		{"proxy", 150 * time.Millisecond, s.askProxy},
	} {
		s.clients.Go(func() {
			for pause(ctx, c.pause) == nil {
				if !e.silent.Load() {
					s.ask(ctx, e, c.name, c.ask)
				}
			}
		})
	}
}

// ask asks once and notes the answer, except one that the end of the run cut off.
func (s *soak) ask(ctx context.Context, e *environment, client string, f func(context.Context, *environment) (int, string)) answer {
	begun := time.Now()
	exit, text := f(ctx, e)
	a := answer{e.name, client, begun, time.Since(begun), exit, text}
	if ctx.Err() == nil {
		s.mu.Lock()
		s.answers = append(s.answers, a)
		s.mu.Unlock()
	}
	return a
}

// askToken runs kyc-token.
func (s *soak) askToken(ctx context.Context, e *environment) (int, string) {
	return s.kycToken(ctx, e, e.name)
}

func (s *soak) kycToken(ctx context.Context, e *environment, args ...string) (int, string) {
	begun := time.Now()
	r, err := s.program(ctx, "kyc-token", "", append([]string{"-socket", s.socket()}, args...)...)
	if err != nil {
		return exitInternal, err.Error()
	}
	if r.exit != exitOK {
		return r.exit, r.stderr
	}
	return checkToken(e, r.stdout, begun)
}

// checkToken fails a client that got a token that nobody can use.
func checkToken(e *environment, token string, at time.Time) (int, string) {
	if err := e.pool.Check(token, at); err != nil {
		return exitInternal, "a token of no use: " + err.Error()
	}
	return exitOK, ""
}

// askSocket asks for a token as a program does that speaks HTTP.
func (s *soak) askSocket(ctx context.Context, e *environment) (int, string) {
	begun := time.Now()
	exit, body := s.get(ctx, "http://kyc-agent/v1/token?format=token&env="+url.QueryEscape(e.name))
	if exit != exitOK {
		return exit, body
	}
	return checkToken(e, strings.TrimSpace(body), begun)
}

// askProxy makes a request to the API through the daemon, which adds the token.
func (s *soak) askProxy(ctx context.Context, e *environment) (int, string) {
	return s.get(ctx, "http://"+e.name+"/kyc")
}

// get makes one request to the socket, on a new connection.
func (s *soak) get(ctx context.Context, url string) (exit int, body string) {
	client := http.Client{Timeout: clientTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.socket())
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return exitInternal, err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
			return exitNoAgent, err.Error()
		}
		return exitTemporary, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch code, known := exitOf[resp.Header.Get("Kyc-Error")]; {
	case err != nil:
		return exitTemporary, err.Error()
	case resp.StatusCode == http.StatusOK:
		return exitOK, string(data)
	case known:
		return code, string(data)
	}
	return exitInternal, resp.Status + ": " + string(data)
}

// pause waits for d, or returns why the run ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// An api answers 200 to a request with a token of its pool that has not expired.
type api struct {
	url    string
	server *http.Server
}

func newAPI(pool *fakecognito.Pool) (*api, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if err := pool.Check(token, time.Now()); err != nil {
			http.Error(w, "the API refuses the token: "+err.Error(), http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "{}\n")
	})
	a := &api{url: "http://" + l.Addr().String(), server: &http.Server{Handler: handler}}
	go func() { _ = a.server.Serve(l) }()
	return a, nil
}

func (a *api) close() { _ = a.server.Close() }
