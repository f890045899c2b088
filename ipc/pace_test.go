package ipc

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy/pace"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

// A limitedAPI answers in memory: n requests in a window, then 429 without Retry-After, as
// the API's documentation shows it.
type limitedAPI struct {
	n        int
	window   time.Duration
	ends     time.Time
	used     int
	answered []string // "200 path"
	bodies   []string
}

func (a *limitedAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	now := time.Now()
	if !now.Before(a.ends) {
		a.used, a.ends = 0, now.Add(a.window)
	}
	a.used++
	w.Header().Set("X-RateLimit-Limit", fmt.Sprint(a.n))
	w.Header().Set("X-RateLimit-Remaining", fmt.Sprint(max(0, a.n-a.used)))
	w.Header().Set("X-RateLimit-Reset", fmt.Sprint(a.ends.Add(time.Second-1).Unix()))
	status := 200
	if a.used > a.n {
		status = 429
		w.Header().Set("Content-Type", "application/json")
	}
	a.answered = append(a.answered, fmt.Sprint(status, " ", r.URL.Path))
	a.bodies = append(a.bodies, string(body))
	w.WriteHeader(status)
	if status == 429 {
		fmt.Fprintf(w, `{"error": "Rate limit exceeded", "retry_after": %d}`, int(a.ends.Sub(now).Seconds()))
	}
}

// servePaced serves a proxy in memory for an API that is h, in a bubble.
func servePaced(t *testing.T, h http.Handler, s *Server) *ipctest.Listener {
	t.Helper()
	api := ipctest.Listen()
	srv := &http.Server{Handler: h}
	go srv.Serve(api)
	t.Cleanup(func() { _ = srv.Close() })
	s.Service, s.Proxy = tokenFor("http://127.0.0.1:1", "staging"), true
	s.dialAPI = func(ctx context.Context, _, _ string) (net.Conn, error) { return api.Dial(ctx) }
	return serveMemServer(t, s)
}

// Without a wait no request is sent while the limit is used up, and the agent's answer says
// when to come again.
func TestPaceRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &limitedAPI{n: 3, window: 5 * time.Minute}
		ln := servePaced(t, api, &Server{})
		for i := range 20 {
			a := ask(t, ln, toAPI("GET", "/kyc", ""))
			if i < 3 && a.StatusCode == 200 {
				continue
			}
			p := a.problem(t)
			if a.StatusCode != 429 || p.Code != agent.CodeThrottled || p.Environment != "staging" || a.Header.Get("Kyc-Error") != "throttled" ||
				!strings.Contains(p.Detail, "limit of 3 requests is used up") || !strings.Contains(p.Hint, "Prefer: wait=") {
				t.Fatalf("answer %d: %d %v %+v", i, a.StatusCode, a.Header, p)
			}
			wait, err := time.ParseDuration(a.Header.Get("Retry-After") + "s")
			if err != nil || wait < 4*time.Minute || wait > 5*time.Minute+2*time.Second {
				t.Errorf("Retry-After %s", a.Header.Get("Retry-After"))
			}
		}
		if len(api.answered) != 3 {
			t.Errorf("the API was sent %d requests: %v", len(api.answered), api.answered)
		}
		time.Sleep(5*time.Minute + 2*time.Second)
		if a := ask(t, ln, toAPI("GET", "/kyc", "")); a.StatusCode != 200 {
			t.Errorf("in the next window: %d %s", a.StatusCode, a.body)
		}
	})
}

// A 429 that the agent did not foresee: to a request that waits it is not the answer.
func TestPaceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &limitedAPI{n: 1, window: time.Minute}
		api.ends, api.used = time.Now().Add(time.Minute), 1 // by another machine behind the same address
		ln := servePaced(t, api, &Server{})
		begun := time.Now()
		a := ask(t, ln, toAPI("POST", "/kyc", "body", "Prefer: respond-async, wait=100"))
		if a.StatusCode != 200 || time.Since(begun) < time.Minute || time.Since(begun) > 63*time.Second || a.Header.Get("Preference-Applied") != "wait=100" {
			t.Errorf("%d %v after %s", a.StatusCode, a.Header, time.Since(begun))
		}
		if got := strings.Join(api.bodies, ","); got != "body,body" {
			t.Errorf("bodies %q", got)
		}
		begun = time.Now()
		a = ask(t, ln, toAPI("GET", "/kyc", "", "Prefer: wait=20"))
		if a.StatusCode != 429 || time.Since(begun) != 20*time.Second || a.Header.Get("Preference-Applied") != "wait=20" || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d %v after %s", a.StatusCode, a.Header, time.Since(begun))
		}
	})
}

// The API's own 429 gets the header that it lacks.
func TestPaceAddsRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &limitedAPI{n: 1, window: 3 * time.Minute}
		api.ends, api.used = time.Now().Add(3*time.Minute), 1
		a := ask(t, servePaced(t, api, &Server{}), toAPI("GET", "/kyc", ""))
		if a.StatusCode != 429 || a.Header.Get("Retry-After") != "180" || a.Header.Get("Kyc-Error") != "" || !strings.Contains(a.body, `"retry_after": 180`) {
			t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
		}
	})
}

// While a request waits its body is not read, and the client is not told to send it.
func TestPaceLeavesTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &limitedAPI{n: 1, window: time.Minute}
		ln := servePaced(t, api, &Server{})
		ask(t, ln, toAPI("GET", "/first", ""))
		c := dial(t, ln)
		answered := make(chan answer)
		var sent atomic.Int64
		go func() { answered <- readAnswer(t, c) }()
		go func() {
			_, _ = io.WriteString(c, "PUT /upload HTTP/1.1\r\nHost: staging\r\nPrefer: wait=120\r\nContent-Length: 1048576\r\n\r\n")
			for range 1 << 10 {
				n, err := c.Write(make([]byte, 1<<10))
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
		time.Sleep(30 * time.Second) // longer than a request may take to arrive
		if n := sent.Load(); n > 16<<10 {
			t.Errorf("%d bytes of the body were read from a request that waits", n)
		}
		if a := <-answered; a.StatusCode != 200 || len(api.bodies[1]) != 1<<20 {
			t.Errorf("%d %s, %d bytes", a.StatusCode, a.body, len(api.bodies[len(api.bodies)-1]))
		}
	})
}

// A client that hangs up gives its place up, and nothing is sent for it.
func TestPaceForgetsClientsThatHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &limitedAPI{n: 1, window: time.Minute}
		s := &Server{Pace: pace.New(noLog)}
		ln := servePaced(t, api, s)
		ask(t, ln, toAPI("GET", "/first", ""))
		for _, body := range []string{"", "small"} {
			c := dial(t, ln)
			_, _ = io.WriteString(c, toAPI("POST", "/gone", body, "Prefer: wait=300"))
			synctest.Wait()
			_ = c.Close()
		}
		synctest.Wait()
		if b := s.Pace.Status()[0]; b.Waiting != 0 {
			t.Errorf("%d requests wait", b.Waiting)
		}
		time.Sleep(5 * time.Minute)
		if len(api.answered) != 1 {
			t.Errorf("the API got %v", api.answered)
		}
	})
}

// The same for an upload, whose body nobody reads: only the kernel tells that the client is
// gone. That takes a real socket.
func TestPaceForgetsUploadsThatHangUp(t *testing.T) {
	api := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(429)
	})
	s := &Server{Service: tokenFor(api.URL, "staging"), Proxy: true, Pace: pace.New(noLog)}
	path := serveUnixServer(t, s)
	send := func(head string) net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, head)
		return c
	}
	first := send(toAPI("GET", "/", ""))
	readAnswer(t, first)
	_ = first.Close()
	c := send("PUT / HTTP/1.1\r\nHost: staging\r\nPrefer: wait=300\r\nTransfer-Encoding: chunked\r\n\r\n")
	until := func(waiting int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); s.Pace.Status()[0].Waiting != waiting; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d requests wait, want %d", s.Pace.Status()[0].Waiting, waiting)
			}
		}
	}
	until(1)
	_ = c.Close()
	until(0)
}

// A stop ends the waits at once, and a reload that takes the environment away is noticed when
// the turn comes.
func TestPaceAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &limitedAPI{n: 1, window: time.Minute}
		var gone atomic.Bool
		s := &Server{}
		ln := ipctest.Listen()
		apiLn := ipctest.Listen()
		srv := &http.Server{Handler: api}
		go srv.Serve(apiLn)
		t.Cleanup(func() { _ = srv.Close() })
		s.Proxy = true
		s.Service = &scripted{token: func(_ context.Context, r agent.TokenRequest) (agent.Token, error) {
			if gone.Load() {
				return agent.Token{}, &agent.Error{Code: agent.CodeUnknownEnvironment}
			}
			token := fixture.Token(r.Environment)
			token.APIURL = "http://127.0.0.1:1"
			return token, nil
		}}
		s.dialAPI = func(ctx context.Context, _, _ string) (net.Conn, error) { return apiLn.Dial(ctx) }
		stop := serve(t, s, ln)
		ask(t, ln, toAPI("GET", "/first", ""))
		waiting := make(chan answer)
		go func() { waiting <- ask(t, ln, toAPI("GET", "/second", "", "Prefer: wait=100")) }()
		synctest.Wait()
		gone.Store(true)
		if a := <-waiting; a.StatusCode != 404 || a.Header.Get("Kyc-Error") != "unknown_environment" {
			t.Errorf("after the reload: %d %s", a.StatusCode, a.body)
		}
		gone.Store(false)
		ask(t, ln, toAPI("GET", "/third", ""))
		go func() { waiting <- ask(t, ln, toAPI("GET", "/fourth", "", "Prefer: wait=100")) }()
		synctest.Wait()
		begun := time.Now()
		go stop()
		a := <-waiting
		if a.StatusCode != 503 || !strings.Contains(a.body, "the agent is stopping") || time.Since(begun) > time.Second {
			t.Errorf("at the stop: %d %s after %s", a.StatusCode, a.body, time.Since(begun))
		}
		if got := strings.Join(api.answered, ","); got != "200 /first,200 /third" {
			t.Errorf("the API got %s", got)
		}
	})
}

// The preference is read as RFC 7240 writes it, and no other one is taken from the API.
func TestPreferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got string
		ln := servePaced(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = strings.Join(r.Header["Prefer"], "|") }), &Server{})
		for _, tt := range []struct{ prefer, applied, forwarded string }{
			{"wait=10", "wait=10", ""},
			{"Wait = 10", "wait=10", ""},
			{`wait="10"; x=y`, "wait=10", ""},
			{"respond-async, wait=5\r\nPrefer: handling=strict", "wait=5", "respond-async, handling=strict"},
			{`a="wait=1, b", wait=7, wait=9`, "wait=7", `a="wait=1, b"`},
			{"wait=99999999999999", "wait=3600", ""},
			{"wait=0", "", ""},
			{"wait=-1", "", ""},
			{"wait", "", ""},
			{"wait=1.5", "", ""},
			{"return=minimal", "", "return=minimal"},
		} {
			a := ask(t, ln, toAPI("GET", "/", "", "Prefer: "+tt.prefer))
			if applied := a.Header.Get("Preference-Applied"); a.StatusCode != 200 || applied != tt.applied || got != tt.forwarded {
				t.Errorf("%q: %d, applied %q, forwarded %q", tt.prefer, a.StatusCode, applied, got)
			}
		}
	})
}

// What pace costs for an API without limits.
func BenchmarkProxy(b *testing.B) {
	h := (&Server{Service: tokenFor("http://127.0.0.1:1", "staging"), Proxy: true}).newHandler(b.Context())
	defer h.proxy.Transport.CloseIdleConnections()
	h.proxy.Transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return newCannedConn(), nil }
	b.ReportAllocs()
	for b.Loop() {
		w := &nullWriter{header: http.Header{}}
		h.ServeHTTP(w, &http.Request{Method: "GET", Host: "staging", URL: &url.URL{Path: "/kyc"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}})
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

// A nullWriter keeps the status of an answer.
type nullWriter struct {
	header http.Header
	status int
}

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) WriteHeader(status int)      { w.status = status }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }

// A cannedConn answers every request that is written to it.
type cannedConn struct {
	net.Conn
	requests, closed chan struct{}
}

const canned = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func newCannedConn() *cannedConn {
	return &cannedConn{requests: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (c *cannedConn) Read(p []byte) (int, error) {
	select {
	case <-c.requests:
		return copy(p, canned), nil
	case <-c.closed:
		return 0, io.EOF
	}
}

func (c *cannedConn) Write(p []byte) (int, error) {
	c.requests <- struct{}{}
	return len(p), nil
}

func (c *cannedConn) Close() error {
	close(c.closed)
	return nil
}

func (c *cannedConn) SetWriteDeadline(time.Time) error { return nil }
