package ipc

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// TestMain runs the child that a test asked for, see child_test.go, or the tests.
func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(child(mode))
	}
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

// A scripted service is an [agent.Service] that a test gives its answers.
type scripted struct {
	token   func(context.Context, agent.TokenRequest) (agent.Token, error)
	login   func(context.Context, agent.LoginRequest, agent.Prompter) error
	logout  func(context.Context, agent.LogoutRequest) error
	recover func(context.Context, agent.RecoverRequest, agent.Prompter) error
	aws     func(context.Context, agent.TokenRequest) (agent.AWSCredentials, error)
	status  func(context.Context) (agent.Status, error)
}

func (s *scripted) Token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	if s.token == nil {
		return fixture.Token(req.Environment), nil
	}
	return s.token(ctx, req)
}

func (s *scripted) Login(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error {
	return s.login(ctx, req, ask)
}

func (s *scripted) Logout(ctx context.Context, req agent.LogoutRequest) error {
	return s.logout(ctx, req)
}

func (s *scripted) Recover(ctx context.Context, req agent.RecoverRequest, ask agent.Prompter) error {
	return s.recover(ctx, req, ask)
}

func (s *scripted) AWSCredentials(ctx context.Context, req agent.TokenRequest) (agent.AWSCredentials, error) {
	return s.aws(ctx, req)
}

func (s *scripted) Status(ctx context.Context) (agent.Status, error) {
	if s.status == nil {
		return agent.Status{}, nil
	}
	return s.status(ctx)
}

func failing(err error) *scripted {
	return &scripted{
		token:   func(context.Context, agent.TokenRequest) (agent.Token, error) { return agent.Token{}, err },
		login:   func(context.Context, agent.LoginRequest, agent.Prompter) error { return err },
		logout:  func(context.Context, agent.LogoutRequest) error { return err },
		recover: func(context.Context, agent.RecoverRequest, agent.Prompter) error { return err },
		aws: func(context.Context, agent.TokenRequest) (agent.AWSCredentials, error) {
			return agent.AWSCredentials{}, err
		},
		status: func(context.Context) (agent.Status, error) { return agent.Status{}, err },
	}
}

// serve runs s on ln until the test ends, or stop is called.
func serve(t testing.TB, s *Server, ln net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// serveLogged serves s in memory and keeps its log. log stops s first: a client that asks once has
// its answer before the request is logged, and when Serve returns all of them are.
func serveLogged(t testing.TB, s *Server) (ln *ipctest.Listener, log func() string) {
	t.Helper()
	book := &testlog.Buffer{}
	s.Logger, ln = book.Logger(), ipctest.Listen()
	stop := serve(t, s, ln)
	return ln, func() string { stop(); return book.String() }
}

// serveMem serves service in memory.
func serveMem(t testing.TB, service agent.Service) *ipctest.Listener {
	t.Helper()
	return serveMemServer(t, &Server{Service: service})
}

// serveMemServer is serveMem for a server with other fields.
func serveMemServer(t testing.TB, s *Server) *ipctest.Listener {
	t.Helper()
	ln := ipctest.Listen()
	serve(t, s, ln)
	return ln
}

// serveUnix serves service on a real socket and returns its path.
func serveUnix(t testing.TB, service agent.Service) string {
	t.Helper()
	return serveUnixServer(t, &Server{Service: service})
}

// serveUnixServer is serveUnix for a server with other fields.
func serveUnixServer(t testing.TB, s *Server) string {
	t.Helper()
	path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, ln)
	return path
}

func dial(t testing.TB, ln *ipctest.Listener) net.Conn {
	t.Helper()
	c, err := ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// An answer is a response read to its end.
type answer struct {
	*http.Response
	body string
}

// exchangeOn writes raw to c and reads one response.
func exchangeOn(t testing.TB, c net.Conn, raw string) answer {
	t.Helper()
	go func() { _, _ = io.WriteString(c, raw) }()
	method, _, _ := strings.Cut(raw, " ")
	return readAnswerTo(t, c, method)
}

func readAnswer(t testing.TB, c net.Conn) answer {
	t.Helper()
	return readAnswerTo(t, c, http.MethodGet)
}

// readAnswerTo reads the answer to a request with that method: one to HEAD has no body.
func readAnswerTo(t testing.TB, c net.Conn, method string) answer {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("half a response: %v", err)
	}
	return answer{resp, string(body)}
}

// ask sends raw on a new connection and reads one response.
func ask(t testing.TB, ln *ipctest.Listener, raw string) answer {
	t.Helper()
	return exchangeOn(t, dial(t, ln), raw)
}

// rawRequest returns an HTTP/1.1 request; headers are whole lines.
func rawRequest(method, target, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: kyc-agent\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if method == http.MethodPost {
		if !strings.Contains(b.String(), "\nContent-Type:") {
			b.WriteString("Content-Type: application/json\r\n")
		}
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

func post(target, body string) string { return rawRequest(http.MethodPost, target, body) }

const textPlain = "Accept: text/plain"

func (a answer) problem(t testing.TB) wire.Problem {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != wire.MediaProblem {
		t.Fatalf("content type %q of %q, want a problem", got, a.body)
	}
	var p wire.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	if p.Status != a.StatusCode {
		t.Errorf("problem says %d, status is %d", p.Status, a.StatusCode)
	}
	return p
}

func (a answer) step(t testing.TB) wire.LoginBody {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	var step wire.LoginBody
	if err := json.Unmarshal([]byte(a.body), &step); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return step
}
