package phantom

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// tokens is an agent that is signed in to the API at a URL.
type tokens struct {
	agent.Service
	apiURL string
	err    error
}

func (s *tokens) Token(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
	t := fixture.Token(req.Environment)
	t.APIURL = s.apiURL
	return t, s.err
}

func (s *tokens) Status(context.Context) (agent.Status, error) {
	return agent.Status{Environments: []agent.EnvironmentStatus{{Name: "prod"}}}, nil
}

// A lent is a Server in front of an agent, in front of an API.
type lent struct {
	*Server
	t      *testing.T
	socket string
	tokens *tokens
	stop   func()
}

// lend starts one. The API answers with the request, and without the token that it got.
func lend(t *testing.T, policy agent.Policy, proxy bool) *lent {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			for range 1 << 10 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
			return
		}
		body, _ := io.ReadAll(r.Body)
		token := r.Header.Get("Authorization") == "Bearer "+fixture.Token("prod").IDToken.Reveal()
		r.Header.Del("Authorization")
		fmt.Fprintf(w, "%s %s %s token=%t %v", r.Method, r.RequestURI, body, token, r.Header)
	}))
	t.Cleanup(api.Close)
	l := &lent{t: t, tokens: &tokens{apiURL: api.URL + "/base"}, socket: filepath.Join(testsocket.ShortDir(t), "agent.sock")}
	if policy.Environments == nil {
		l.tokens.apiURL = api.URL
	}
	unix, err := socket.Listen(l.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = (&ipc.Server{Service: l.tokens, Proxy: proxy}).Serve(ctx, unix) })
	ln, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	policy.Socket, policy.Environments, policy.Allow = "of run --api-only", []string{"prod"}, []agent.Access{agent.AccessAPI}
	if l.Server, err = NewServer(&ipc.Client{Socket: l.socket}, policy, ln); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	lending, stop := context.WithCancel(ctx)
	go func() {
		defer close(served)
		if err := l.Serve(lending); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
	l.stop = func() {
		stop()
		<-served
	}
	t.Cleanup(serving.Wait)
	t.Cleanup(cancel)
	t.Cleanup(l.stop)
	return l
}

func (l *lent) addr() string { return l.listener.Addr().String() }

// raw sends a request whose lines these are, with HOST and PHANTOM replaced, and returns the
// status and the answer.
func (l *lent) raw(lines ...string) (status int, answer string) {
	l.t.Helper()
	c, err := net.Dial("tcp", l.addr())
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	text := strings.NewReplacer("HOST", l.addr(), "PHANTOM", l.phantom).Replace(strings.Join(lines, "\r\n") + "\r\n\r\n")
	_, _ = io.WriteString(c, text)
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(text)[0]})
	if err != nil {
		return 0, err.Error()
	}
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

const (
	hostLine    = "Host: HOST"
	phantomLine = "Authorization: Bearer PHANTOM"
)

func TestForwards(t *testing.T) {
	l := lend(t, agent.Policy{}, true)
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{[]string{"GET /kyc?x=1&y=%20 HTTP/1.1", hostLine, phantomLine}, "GET /kyc?x=1&y=%20  token=true map[]"},
		{[]string{"GET / HTTP/1.1", hostLine, "authorization: bearer PHANTOM", "X-A: 1"}, "GET /  token=true map[X-A:[1]]"},
		{[]string{"POST /kyc HTTP/1.1", hostLine, phantomLine, "Content-Length: 2", "", "{}"}, "POST /kyc {} token=true map[Content-Length:[2]]"},
	} {
		if status, got := l.raw(tt.lines...); status != 200 || got != tt.want {
			t.Errorf("%q: %d %q, want %q", tt.lines, status, got, tt.want)
		}
	}
}

// Nothing but the command's own request gets through, and no answer repeats the phantom.
func TestRefuses(t *testing.T) {
	l := lend(t, agent.Policy{}, true)
	other, _ := NewServer(&ipc.Client{}, agent.Policy{Environments: []string{"prod"}, Allow: []agent.Access{agent.AccessAPI}}, l.listener)
	get := "GET /kyc HTTP/1.1"
	for _, tt := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"no phantom", []string{get, hostLine}, 401},
		{"another command's", []string{get, hostLine, "Authorization: Bearer " + other.phantom}, 401},
		{"a part of it", []string{get, hostLine, "Authorization: Bearer " + l.phantom[:42]}, 401},
		{"more than it", []string{get, hostLine, "Authorization: Bearer PHANTOMx"}, 401},
		{"an empty one", []string{get, hostLine, "Authorization: Bearer "}, 401},
		{"without a scheme", []string{get, hostLine, "Authorization: PHANTOM"}, 401},
		{"basic", []string{get, hostLine, "Authorization: Basic PHANTOM"}, 401},
		{"twice", []string{get, hostLine, phantomLine, phantomLine}, 401},
		{"a real token", []string{get, hostLine, "Authorization: Bearer " + fixture.Token("prod").IDToken.Reveal()}, 401},
		{"in the query", []string{"GET /kyc?token=PHANTOM HTTP/1.1", hostLine}, 401},
		{"in the query, too", []string{"GET /kyc?token=PHANTOM HTTP/1.1", hostLine, phantomLine}, 403},
		{"in the path, too", []string{"GET /PHANTOM HTTP/1.1", hostLine, phantomLine}, 403},
		{"in another header, too", []string{get, hostLine, phantomLine, "X-Api-Key: PHANTOM"}, 403},
		{"another host", []string{get, "Host: evil.example", phantomLine}, 403},
		{"another host on its port", []string{get, "Host: localhost:" + strings.Split(l.addr(), ":")[1], phantomLine}, 403},
		{"without its port", []string{get, "Host: 127.0.0.1", phantomLine}, 403},
		{"the environment", []string{get, "Host: prod", phantomLine}, 403},
		{"the agent", []string{"GET /v1/token HTTP/1.1", "Host: kyc-agent", phantomLine}, 403},
		{"a whole URL", []string{"GET http://evil.example/ HTTP/1.1", hostLine, phantomLine}, 403},
		{"a whole URL of its own", []string{"GET http://HOST/kyc HTTP/1.1", hostLine, phantomLine}, 400},
		{"Origin", []string{get, hostLine, phantomLine, "Origin: http://HOST"}, 403},
		{"Referer", []string{get, hostLine, phantomLine, "Referer: http://HOST/"}, 403},
		{"a preflight", []string{"OPTIONS /kyc HTTP/1.1", hostLine, "Origin: null", "Access-Control-Request-Method: POST"}, 403},
		{"Sec-Fetch-Site", []string{get, hostLine, phantomLine, "Sec-Fetch-Site: cross-site"}, 403},
		{"CONNECT", []string{"CONNECT HOST HTTP/1.1", hostLine, phantomLine}, 405},
		{"TRACE", []string{"TRACE /kyc HTTP/1.1", hostLine, phantomLine}, 405},
		{"Upgrade", []string{get, hostLine, phantomLine, "Connection: Upgrade", "Upgrade: websocket"}, 400},
		{"a proxy's password", []string{get, hostLine, phantomLine, "Proxy-Authorization: Bearer x"}, 400},
		{"HTTP/1.0", []string{"GET /kyc HTTP/1.0", hostLine, phantomLine}, 505},
		{"out of api_url", []string{"GET /../admin HTTP/1.1", hostLine, phantomLine}, 400},
		{"out of api_url, encoded", []string{"GET /kyc/%252e%252e/admin HTTP/1.1", hostLine, phantomLine}, 400},
	} {
		status, answer := l.raw(tt.lines...)
		if status != tt.want || strings.Contains(answer, l.phantom) || strings.Contains(answer, "token=") {
			t.Errorf("%s: %d %q, want %d", tt.name, status, answer, tt.want)
		}
	}
}

// A client whose connection ends with the request can write it all, and reads why it is refused.
func TestRefusedBodyIsRead(t *testing.T) {
	l := lend(t, agent.Policy{}, true)
	c, err := net.Dial("tcp", l.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetWriteBuffer(4 << 10); err != nil { // so the kernel does not keep it for a server that does not read
		t.Fatal(err)
	}
	const size = 256<<10 - 1
	head := fmt.Sprintf("POST /kyc HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", l.addr(), size)
	if _, err := io.WriteString(c, head+strings.Repeat("x", size)); err != nil {
		t.Error(err)
	}
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestPolicy(t *testing.T) {
	paths := []agent.PathPattern{pattern(t, "/kyc"), pattern(t, "/lists/*")}
	l := lend(t, agent.Policy{Methods: []string{"GET"}, Paths: paths}, true)
	for request, want := range map[string]int{
		"GET /kyc": 200, "GET /kyc?x=/admin": 200, "HEAD /kyc": 200, "GET /lists/7": 200,
		"POST /kyc": 403, "DELETE /lists/7": 403, "GET /": 403, "GET /admin": 403, "GET /kyc/": 403, "GET /lists/7/subjects": 403, "GET /lists/": 403,
		"GET /%6byc": 403, "GET /KYC": 403, "GET /kyc;x": 403, "GET /kyc?_method=DELETE": 403,
	} {
		status, answer := l.raw(request+" HTTP/1.1", hostLine, phantomLine)
		if status != want {
			t.Errorf("%s: %d %q, want %d", request, status, answer, want)
		}
		if status == 403 && !strings.Contains(answer, `"hint":"start the command with an --allow-path or --allow-method for it"`) {
			t.Errorf("%s: %s", request, answer)
		}
	}
	_, answer := l.raw("GET /kyc HTTP/1.1", hostLine, phantomLine, "X-HTTP-Method-Override: DELETE", "X-Original-URL: /admin", "X-Forwarded-Host: evil", "X-Fine: 1")
	if answer != "GET /kyc  token=true map[X-Fine:[1]]" {
		t.Error(answer)
	}
}

func pattern(t *testing.T, text string) agent.PathPattern {
	t.Helper()
	p, err := agent.ParsePathPattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The phantom is nothing to the agent, and after the command's end nothing here.
func TestPhantomElsewhere(t *testing.T) {
	l := lend(t, agent.Policy{}, true)
	c := fixture.DialUnix(t, l.socket)
	fmt.Fprintf(c, "GET /kyc HTTP/1.1\r\nHost: prod\r\nAuthorization: Bearer %s\r\n\r\n", l.phantom)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("at the agent's socket: %v, %v", resp, err)
	}
	l.stop()
	if status, answer := l.raw2(); status != 0 {
		t.Errorf("after the end: %d %s", status, answer)
	}
	again := lend(t, agent.Policy{}, true)
	if status, _ := again.raw("GET /kyc HTTP/1.1", hostLine, "Authorization: Bearer "+l.phantom); status != 401 {
		t.Errorf("at the next one: %d", status)
	}
}

// raw2 is raw for a port that may be closed.
func (l *lent) raw2() (status int, answer string) {
	c, err := net.Dial("tcp", l.addr())
	if err != nil {
		return 0, err.Error()
	}
	c.Close()
	return l.raw("GET /kyc HTTP/1.1", hostLine, phantomLine)
}

// What the agent says arrives as it is, and what is wrong with the agent is said.
func TestAgentsErrors(t *testing.T) {
	l := lend(t, agent.Policy{}, true)
	get := []string{"GET /kyc HTTP/1.1", hostLine, phantomLine}
	l.tokens.err = &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in", Hint: "run: kyc-agentd login prod"}
	if status, answer := l.raw(get...); status != 401 && status != 403 || !strings.Contains(answer, "run: kyc-agentd login prod") {
		t.Errorf("not signed in: %d %s", status, answer)
	}
	old := lend(t, agent.Policy{}, false) // one that does not forward
	if status, answer := old.raw(get...); status != 403 || !strings.Contains(answer, "nothing is forwarded from this socket") {
		t.Errorf("a daemon that does not forward: %d %s", status, answer)
	}
	gone := lend(t, agent.Policy{}, true)
	gone.relay.Transport = (&ipc.Client{Socket: gone.socket + "x"}).Relay(t.Context(), nil, nil).Transport
	if status, answer := gone.raw(get...); status != 503 || !strings.Contains(answer, "no agent answers on") {
		t.Errorf("no agent: %d %s", status, answer)
	}
}

// Clients that are slow, or do not read, keep nobody else waiting, and do not stay.
func TestManyAndSlow(t *testing.T) {
	testpeer.Slow(t)
	l := lend(t, agent.Policy{}, true)
	var slow []net.Conn
	defer func() {
		for _, c := range slow {
			c.Close()
		}
	}()
	for i := range 1000 {
		c, err := net.Dial("tcp", l.addr())
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
		switch i % 3 {
		case 0: // says nothing
		case 1:
			_, _ = io.WriteString(c, "GET /kyc HTTP/1.1\r\nHo")
		case 2:
			fmt.Fprintf(c, "POST /kyc HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 9\r\n\r\n{", l.addr(), l.phantom)
		}
	}
	deaf, err := net.Dial("tcp", l.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	fmt.Fprintf(deaf, "GET /large HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", l.addr(), l.phantom)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if status, answer := l.raw("GET /kyc HTTP/1.1", hostLine, phantomLine); status != 200 {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	all.Wait()
	for i, c := range slow {
		_ = c.SetReadDeadline(time.Now().Add(readTimeout + 10*time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("connection %d is still open", i)
		}
	}
	l.stop() // the deaf one does not keep it
}
