package ipc

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// Redirects, throttling and refusals are passed on to the client.
func TestProxyPassesAnswersOn(t *testing.T) {
	followed := 0
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			w.Header().Set("Location", "https://elsewhere.example/x")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case "/slow-down":
			w.Header().Set("Retry-After", "17")
			http.Error(w, "too many", http.StatusTooManyRequests)
		case "/broken":
			http.Error(w, "oh", http.StatusInternalServerError)
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("X-Sum", "4")
		default:
			followed++
		}
	})
	for path, want := range map[string]struct {
		status       int
		header, text string
	}{
		"/moved": {307, "Location", "https://elsewhere.example/x"}, "/slow-down": {429, "Retry-After", "17"},
		"/broken": {500, "X-Content-Type-Options", "nosniff"}, "/trailer": {200, "", ""},
	} {
		client := throughProxy(t, serveProxy(t, tokenFor(u.URL, "staging"))) // a new one: the next request after a 429 is not sent
		res, err := client.Get("http://staging" + path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != want.status || res.Header.Get(want.header) != want.text || res.Header.Get("Kyc-Error") != "" {
			t.Errorf("%s: %d %v, %v", path, res.StatusCode, res.Header, err)
		}
		if path == "/trailer" && res.Trailer.Get("X-Sum") != "4" {
			t.Errorf("trailer %v", res.Trailer)
		}
	}
	if followed != 0 {
		t.Errorf("%d redirects were followed", followed)
	}
}

// A guarded API accepts one token and answers 401 to every other.
type guarded struct {
	*upstream
	mu    sync.Mutex
	good  string
	calls []string // "Bearer token body"
}

func newGuarded(t *testing.T, good string) *guarded {
	g := &guarded{good: good}
	g.upstream = newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.calls = append(g.calls, r.Header.Get("Authorization")+" "+string(body))
		if r.Header.Get("Authorization") != "Bearer "+g.good {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, "said the API")
	})
	return g
}

// After a 401 the request is sent once more with a newer token, if the body is still there.
func TestProxyRenewsTheToken(t *testing.T) {
	renewable := func(req agent.TokenRequest) (string, time.Duration, error) {
		if req.MinValid == 0 {
			return "old", time.Hour, nil
		}
		if d := req.MinValid - time.Hour; d <= 0 || d > time.Second {
			return "", 0, fmt.Errorf("asked for %s", req.MinValid)
		}
		return "new", 2 * time.Hour, nil
	}
	young := func(req agent.TokenRequest) (string, time.Duration, error) {
		if req.MinValid == 0 {
			return "old", time.Hour, nil
		}
		return "", 0, &agent.Error{Code: agent.CodeUsage, Message: "more than an ID token's life"}
	}
	for name, test := range map[string]struct {
		good   string
		token  func(agent.TokenRequest) (string, time.Duration, error)
		raw    string
		status int
		calls  []string
	}{
		"no body":           {"new", renewable, toAPI("GET", "/", ""), 200, []string{"Bearer old ", "Bearer new "}},
		"small body":        {"new", renewable, toAPI("POST", "/", "{}"), 200, []string{"Bearer old {}", "Bearer new {}"}},
		"streamed body":     {"new", renewable, toAPI("POST", "/", "", "Transfer-Encoding: chunked") + "2\r\n{}\r\n0\r\n\r\n", 401, []string{"Bearer old {}"}},
		"the new one fails": {"other", renewable, toAPI("GET", "/", ""), 401, []string{"Bearer old ", "Bearer new "}},
		"no newer one":      {"new", young, toAPI("GET", "/", ""), 401, []string{"Bearer old "}},
		"good at once":      {"old", renewable, toAPI("GET", "/", ""), 200, []string{"Bearer old "}},
		"an API key": {"new", func(req agent.TokenRequest) (string, time.Duration, error) {
			if req.MinValid != 0 {
				t.Error("a newer API key was asked for")
			}
			return "sk_1", 0, nil
		}, toAPI("GET", "/", ""), 401, []string{"Bearer sk_1 "}},
		"the same again": {"new", func(agent.TokenRequest) (string, time.Duration, error) { return "old", time.Hour, nil },
			toAPI("GET", "/", ""), 401, []string{"Bearer old "}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, test.good)
			ln := serveProxy(t, &scripted{token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
				secret, life, err := test.token(req)
				out := agent.Token{Environment: "staging", IDToken: agent.NewSecret(secret), APIURL: g.URL}
				if life != 0 {
					out.ExpiresAt = time.Now().Add(life)
				}
				return out, err
			}})
			a := ask(t, ln, test.raw)
			if a.StatusCode != test.status || a.body != "said the API" || a.Header.Get("Kyc-Error") != "" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if got := strings.Join(g.calls, "|"); got != strings.Join(test.calls, "|") {
				t.Errorf("calls %q, want %q", got, test.calls)
			}
		})
	}
}

// If there is no token, the error is that of a token request, and the API is not asked.
func TestProxyWithoutToken(t *testing.T) {
	for _, code := range wire.Codes() {
		u := newUpstream(t, nil)
		fail := &agent.Error{Code: code, Environment: "staging", Message: "m", Hint: "h"}
		a := ask(t, serveProxy(t, failing(fail)), toAPI("POST", "/kyc", "{}", textPlain))
		if p := a.problem(t); a.StatusCode != wire.StatusOf(code) || p.Code != code || p.Hint != "h" || a.Header.Get("Kyc-Error") != string(code) {
			t.Errorf("%s: %d %s", code, a.StatusCode, a.body)
		}
		if (code == agent.CodeUnavailable) != (a.Header.Get("Retry-After") != "") || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: header %v", code, a.Header)
		}
		if wire := u.wire(); wire != "" {
			t.Errorf("the API got %q", wire)
		}
	}
}

// A token goes only to an https URL, or to one on loopback.
func TestProxyChecksTheAPIURL(t *testing.T) {
	for _, url := range []string{
		"", "api.example.com", "http://api.example.com", "ftp://127.0.0.1", "https://", "https://user@api.example.com", "http://127.0.0.1.example.com",
		"http://[::2]/", "http://localhost.example.com", "//127.0.0.1", "http://10.0.0.1",
	} {
		a := ask(t, serveProxy(t, tokenFor(url, "staging")), toAPI("GET", "/kyc", ""))
		if p := a.problem(t); p.Code != agent.CodeConfiguration {
			t.Errorf("%q: %d %s", url, a.StatusCode, a.body)
		}
	}
}

// Every failure of the API is one line of the agent, which quotes nothing of the API.
func TestProxyUpstreamTrouble(t *testing.T) {
	const refused = "http://127.0.0.1:1" // a port that was free before may be in use again
	speaking := func(text string) string { return speaker(t, text) }
	tls := httptest.NewTLSServer(nil)
	tls.Config.ErrorLog = nil
	t.Cleanup(tls.Close)
	for name, test := range map[string]struct{ url, say string }{
		"refused":            {refused, "cannot be reached"},
		"hung up":            {speaking(""), "hung up without an answer"},
		"garbage":            {speaking("SECRET garbage\r\n\r\n"), "hung up without an answer"},
		"half a head":        {speaking("HTTP/1.1 200 OK\r\nX-SECRET: y\r\n"), "hung up without an answer"},
		"other protocol":     {speaking("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SECRET\r\n\r\nSECRET"), "hung up without an answer"},
		"foreign cert":       {tls.URL, "cannot be trusted"},
		"no TLS":             {strings.Replace(speaking("HTTP/1.1 200 OK\r\n\r\n"), "http:", "https:", 1), "cannot be trusted"},
		"status 099":         {speaking("HTTP/1.1 099 SECRET\r\nContent-Length: 6\r\n\r\nSECRET"), "answered with the status 099, which there is not"},
		"status 000":         {speaking("HTTP/1.1 000 SECRET\r\n\r\nSECRET"), "answered with the status 000"},
		"status 007":         {speaking("HTTP/1.1 007 \r\nTransfer-Encoding: chunked\r\n\r\n"), "answered with the status 007"},
		"status -01":         {speaking("HTTP/1.1 -01 SECRET\r\n\r\nSECRET"), "hung up without an answer"},
		"status 20":          {speaking("HTTP/1.1 20 SECRET\r\n\r\nSECRET"), "hung up without an answer"},
		"status 2000":        {speaking("HTTP/1.1 2000 SECRET\r\n\r\nSECRET"), "hung up without an answer"},
		"large head":         {speaking("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("SECRET", 20_000) + "\r\n\r\n"), "hung up without an answer"},
		"name without value": {speaking("HTTP/1.1 200 OK\r\nSECRET\r\n\r\n"), "hung up without an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			book := &testlog.Buffer{}
			ln := serveMemServer(t, &Server{Service: tokenFor(test.url, "staging"), Proxy: true, Logger: book.Logger()})
			a := ask(t, ln, toAPI("GET", "/kyc", ""))
			p := a.problem(t)
			if a.StatusCode != 503 || p.Code != agent.CodeUnavailable || p.Environment != "staging" || !strings.Contains(p.Detail, test.say) || a.Header.Get("Kyc-Error") != "unavailable" {
				t.Errorf("%d %s, want %q", a.StatusCode, a.body, test.say)
			}
			if a.Header.Get("Retry-After") == "" || strings.Contains(a.body+book.String(), "SECRET") {
				t.Errorf("header %v, body %s, log %s", a.Header, a.body, book)
			}
			if strings.Contains(book.String(), fixture.JWT) || !strings.Contains(book.String(), "op=proxy env=staging") {
				t.Errorf("log %s", book)
			}
		})
	}
}

// An HTTP proxy that refuses to connect is named in the error, and gets no token.
func TestProxyBehindAProxy(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusProxyAuthRequired) })
	h := (&Server{Service: tokenFor("https://api.example.com", "staging"), Proxy: true}).newHandler(t.Context())
	h.proxy.Transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(u.URL) }
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/kyc", nil)
	r.Host = "staging"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Body.String(); w.Code != 503 || !strings.Contains(got, "api.example.com cannot be reached: the HTTP proxy answered 407") || strings.Contains(got, "SECRET") {
		t.Errorf("%d %s", w.Code, got)
	}
	if wire := u.wire(); !strings.HasPrefix(wire, "CONNECT api.example.com:443 ") || strings.Contains(wire, fixture.JWT) {
		t.Errorf("the proxy got %q", wire)
	}
}

// speaker sends text to every client that has sent a request, and disconnects.
func speaker(t *testing.T, text string) string {
	t.Helper()
	return "http://" + testsocket.ServeTCP(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, text)
	})
}

// Without the proxy a request for an environment is refused like one for any other host.
func TestProxyOff(t *testing.T) {
	a := ask(t, serveMem(t, tokenFor("http://127.0.0.1:1", "staging")), toAPI("GET", "/kyc", ""))
	if p := a.problem(t); a.StatusCode != 403 || p.Code != agent.CodeDenied || a.Header.Get("Kyc-Error") != "denied" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// A warning for the person is in a header of the API's answer.
func TestProxyWarning(t *testing.T) {
	u := newUpstream(t, nil)
	ln := serveProxy(t, &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) {
		return agent.Token{Environment: "staging", IDToken: agent.NewSecret("t"), APIURL: u.URL, Warning: "staging: the sign-in\r\nends soon"}, nil
	}})
	if a := ask(t, ln, toAPI("GET", "/", "")); a.Header.Get("Kyc-Warning") != "staging: the sign-in  ends soon" {
		t.Errorf("header %v", a.Header)
	}
}

// A panic in one request does not affect others.
func TestProxyPanic(t *testing.T) {
	book := &testlog.Buffer{}
	ln := serveMemServer(t, &Server{Proxy: true, Version: "7", Logger: book.Logger(), Service: &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) { panic("SECRET") }}})
	a := ask(t, ln, toAPI("GET", "/", ""))
	if p := a.problem(t); p.Code != agent.CodeInternal || a.Header.Get("Kyc-Version") != "7" || strings.Contains(a.body+book.String(), "SECRET") || !strings.Contains(book.String(), "panic=string") {
		t.Errorf("%d %s\n%s", a.StatusCode, a.body, book)
	}
}

// What begins with Kyc- is the agent's word: an API can say nothing in its name.
func TestProxyDropsTheAPIsOwnKycHeaders(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{wire.HeaderError, wire.HeaderVersion, wire.HeaderWarning, wire.HeaderEnvironment, wire.HeaderUser, "kyc-new"} {
			w.Header().Set(name, "said the API \u009b2J")
		}
		w.Header().Set("X-Kyc", "1")
	})
	a := ask(t, serveProxy(t, tokenFor(u.URL, "staging")), toAPI("GET", "/", ""))
	for name := range a.Header {
		if strings.HasPrefix(name, "Kyc-") {
			t.Errorf("%s: %q", name, a.Header[name])
		}
	}
	if a.StatusCode != 200 || a.Header.Get("X-Kyc") != "1" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}
