package ipc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

// An upstream is an API that records all bytes that it receives.
type upstream struct {
	*httptest.Server
	mu  sync.Mutex
	raw bytes.Buffer
}

// newUpstream serves h; nil answers "ok" to every request.
func newUpstream(t testing.TB, h http.HandlerFunc) *upstream {
	t.Helper()
	if h == nil {
		h = func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "ok")
		}
	}
	u := &upstream{Server: httptest.NewUnstartedServer(h)}
	u.Listener = &wiretap{u.Listener, u}
	u.Start()
	t.Cleanup(u.Close)
	return u
}

// wire returns all bytes that arrived.
func (u *upstream) wire() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.raw.String()
}

// A wiretap records what its connections read.
type wiretap struct {
	net.Listener
	u *upstream
}

func (l *wiretap) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tappedConn{c, l.u}, nil
}

type tappedConn struct {
	net.Conn
	u *upstream
}

func (c *tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	c.u.raw.Write(p[:n])
	return n, err
}

// tokenFor returns a service with a token for the API at url, in these environments.
func tokenFor(url string, environments ...string) *scripted {
	return &scripted{token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
		if !slices.Contains(environments, req.Environment) {
			return agent.Token{}, &agent.Error{Code: agent.CodeUnknownEnvironment, Message: "unknown environment", Hint: "configured are: " + strings.Join(environments, ", ")}
		}
		t := fixture.Token(req.Environment)
		t.APIURL = url
		return t, nil
	}}
}

// serveProxy serves a proxy of service in memory.
func serveProxy(t testing.TB, service agent.Service) *ipctest.Listener {
	t.Helper()
	return serveMemServer(t, &Server{Service: service, Proxy: true})
}

// toAPI returns a raw request for the API of staging; headers are whole lines.
func toAPI(method, target, body string, headers ...string) string {
	if body != "" {
		headers = append(headers, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	return method + " " + target + " HTTP/1.1\r\nHost: staging\r\n" + strings.Join(append(headers, "", ""), "\r\n") + body
}

// throughProxy returns an HTTP client that makes all connections to ln.
func throughProxy(t testing.TB, ln *ipctest.Listener) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.Dial(ctx) }, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Host names have no case. Unicode's have nothing to do with it.
func TestHostInCapitals(t *testing.T) {
	u := newUpstream(t, nil)
	ln := serveProxy(t, tokenFor(u.URL, "staging"))
	for _, host := range []string{"STAGING", "Staging", "sTaGiNg"} {
		if a := ask(t, ln, "GET /kyc HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", host, a.StatusCode, a.body)
		}
	}
	for _, server := range []*Server{{Service: &scripted{}}, {Service: &scripted{}, Proxy: true}} {
		ln := serveMemServer(t, server)
		for _, host := range []string{"KYC-AGENT", "Kyc-Agent"} {
			if a := ask(t, ln, "GET /v1/token HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); a.StatusCode != http.StatusOK {
				t.Errorf("%s: %d %s", host, a.StatusCode, a.body)
			}
		}
		for _, host := range []string{"\u212ayc-agent", "\u017ftaging", "kyc-agent.", "kyc-agent:80", "KYC_AGENT"} {
			if a := ask(t, ln, "GET /v1/token HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); a.StatusCode < 400 {
				t.Errorf("%s: %d %s", host, a.StatusCode, a.body)
			}
		}
	}
}

func TestProxyForwards(t *testing.T) {
	got := make(chan *http.Request, 1)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		got <- r
		h := w.Header()
		h.Set("X-Answer", "yes")
		h.Set("Kyc-Error", "internal")
		h.Set("Kyc-Version", "0")
		h.Set("Kyc-Warning", "not the agent's")
		h.Add("Set-Cookie", "a=b")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "made")
	})
	for base, path := range map[string]string{"": "/kyc/a%20b", "/": "/kyc/a%20b", "/v2/api%2Bx": "/v2/api%2Bx/kyc/a%20b", "/v2/": "/v2/kyc/a%20b"} {
		ln := serveProxy(t, tokenFor(u.URL+base, "staging"))
		a := ask(t, ln, toAPI("POST", "/kyc/a%20b?x=1&y=%zz;w", `{"name":"Ada"}`, "Content-Type: application/json", "X-Request: 1",
			"Cookie: c=d", "User-Agent: test", "X-Forwarded-For: 10.0.0.1", "Forwarded: for=x", "Connection: X-Hop, close", "X-Hop: 1"))
		r := <-got
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.RequestURI != path+"?x=1&y=%zz;w" || r.Host != u.Listener.Addr().String() || string(body) != `{"name":"Ada"}` {
			t.Errorf("base %q: %s %s at %s with %q", base, r.Method, r.RequestURI, r.Host, body)
		}
		for name, want := range map[string]string{
			"Authorization": "Bearer " + fixture.JWT, "Content-Type": "application/json", "X-Request": "1", "Cookie": "c=d", "User-Agent": "test",
			"X-Forwarded-For": "", "X-Forwarded-Host": "", "X-Forwarded-Proto": "", "Forwarded": "", "X-Hop": "", "Accept-Encoding": "",
		} {
			if v := strings.Join(r.Header.Values(name), "|"); v != want {
				t.Errorf("%s arrives as %q, want %q", name, v, want)
			}
		}
		if a.StatusCode != http.StatusCreated || a.body != "made" || a.Header.Get("X-Answer") != "yes" || a.Header.Get("Set-Cookie") != "a=b" {
			t.Errorf("answer %d %q %v", a.StatusCode, a.body, a.Header)
		}
		for _, name := range []string{"Kyc-Error", "Kyc-Warning", "Kyc-Version", "Cache-Control", "X-Content-Type-Options"} {
			if v, ok := a.Header[name]; ok {
				t.Errorf("%s %q is in the API's answer", name, v)
			}
		}
	}
}

// A refused request never reaches the API.
func TestProxyRefuses(t *testing.T) {
	u := newUpstream(t, nil)
	ln := serveProxy(t, tokenFor(u.URL+"/base", "staging", "prod"))
	for name, test := range map[string]struct {
		raw    string
		status int
		code   agent.Code
		say    string
	}{
		"unknown host":        {"GET /kyc HTTP/1.1\r\nHost: evil.example\r\n\r\n", 404, agent.CodeUnknownEnvironment, "unknown environment"},
		"host with a port":    {"GET /kyc HTTP/1.1\r\nHost: staging:80\r\n\r\n", 400, agent.CodeUsage, "has a port"},
		"agent with a port":   {"GET /kyc HTTP/1.1\r\nHost: kyc-agent:80\r\n\r\n", 400, agent.CodeUsage, "has a port"},
		"trailing dot":        {"GET /kyc HTTP/1.1\r\nHost: staging.\r\n\r\n", 404, agent.CodeUnknownEnvironment, "unknown environment"},
		"absolute form":       {"GET http://staging/kyc HTTP/1.1\r\nHost: staging\r\n\r\n", 400, agent.CodeUsage, "whole URL"},
		"absolute, elsewhere": {"GET http://evil.example/kyc HTTP/1.1\r\nHost: staging\r\n\r\n", 400, agent.CodeUsage, "whole URL"},
		"absolute, https":     {"GET https://staging/kyc HTTP/1.1\r\nHost: staging\r\n\r\n", 400, agent.CodeUsage, "whole URL"},
		"userinfo":            {"GET http://staging@evil.example/ HTTP/1.1\r\nHost: staging\r\n\r\n", 400, agent.CodeUsage, "whole URL"},
		"CONNECT":             {"CONNECT staging HTTP/1.1\r\nHost: staging\r\n\r\n", 405, agent.CodeUsage, `"CONNECT" is not forwarded`},
		"CONNECT with port":   {"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", 405, agent.CodeUsage, "not forwarded"},
		"TRACE":               {toAPI("TRACE", "/kyc", ""), 405, agent.CodeUsage, "use GET, HEAD"},
		"made-up method":      {toAPI("FETCH", "/kyc", ""), 405, agent.CodeUsage, "not forwarded"},
		"star":                {toAPI("OPTIONS", "*", ""), 400, agent.CodeUsage, "does not begin with /"},
		"HTTP/1.0":            {"GET /kyc HTTP/1.0\r\nHost: staging\r\n\r\n", 505, agent.CodeUsage, "HTTP/1.1"},
		"upgrade":             {toAPI("GET", "/kyc", "", "Connection: Upgrade", "Upgrade: websocket"), 400, agent.CodeUsage, "Upgrade"},
		"upgrade alone":       {toAPI("GET", "/kyc", "", "Upgrade: h2c"), 400, agent.CodeUsage, "Upgrade"},
		"origin":              {toAPI("GET", "/kyc", "", "Origin: null"), 403, agent.CodeDenied, "Origin"},
		"referer":             {toAPI("GET", "/kyc", "", "Referer: http://x/"), 403, agent.CodeDenied, "Referer"},
		"own token":           {toAPI("GET", "/kyc", "", "Authorization: Bearer mine"), 400, agent.CodeUsage, "leave Authorization out"},
		"own token, empty":    {toAPI("GET", "/kyc", "", "authorization:"), 400, agent.CodeUsage, "leave Authorization out"},
		"own token, capitals": {toAPI("GET", "/kyc", "", "AUTHORIZATION: Basic eDp5"), 400, agent.CodeUsage, "leave Authorization out"},
		"proxy authorization": {toAPI("GET", "/kyc", "", "Proxy-Authorization: Basic eDp5"), 400, agent.CodeUsage, "leave Proxy-Authorization out"},
		"trailer":             {toAPI("POST", "/kyc", "", "Transfer-Encoding: chunked", "Trailer: Authorization") + "0\r\nAuthorization: x\r\n\r\n", 400, agent.CodeUsage, "trailers"},

		"dots":                  {toAPI("GET", "/../admin", ""), 400, agent.CodeUsage, "part . or .."},
		"dots within":           {toAPI("GET", "/kyc/../../admin", ""), 400, agent.CodeUsage, "part . or .."},
		"dots at the end":       {toAPI("GET", "/kyc/..", ""), 400, agent.CodeUsage, "part . or .."},
		"one dot":               {toAPI("GET", "/./kyc", ""), 400, agent.CodeUsage, "part . or .."},
		"encoded dots":          {toAPI("GET", "/%2e%2E/admin", ""), 400, agent.CodeUsage, "part . or .."},
		"half encoded dots":     {toAPI("GET", "/.%2e/admin", ""), 400, agent.CodeUsage, "part . or .."},
		"encoded twice":         {toAPI("GET", "/%252e%252e/admin", ""), 400, agent.CodeUsage, "part . or .."},
		"dots with a parameter": {toAPI("GET", "/..;x=1/admin", ""), 400, agent.CodeUsage, "part . or .."},
		"encoded slash":         {toAPI("GET", "/kyc%2f..%2fadmin", ""), 400, agent.CodeUsage, "encoded slash"},
		"slash encoded twice":   {toAPI("GET", "/kyc%252Fadmin", ""), 400, agent.CodeUsage, "encoded slash"},
		"backslash":             {toAPI("GET", "/..\\admin", ""), 400, agent.CodeUsage, "backslash"},
		"encoded backslash":     {toAPI("GET", "/..%5cadmin", ""), 400, agent.CodeUsage, "backslash"},
		"zero":                  {toAPI("GET", "/kyc%00.json", ""), 400, agent.CodeUsage, "control"},
		"line break":            {toAPI("GET", "/kyc%0d%0aX:1", ""), 400, agent.CodeUsage, "control"},
		"overlong dots":         {toAPI("GET", "/%c0%ae%c0%ae/admin", ""), 400, agent.CodeUsage, "UTF-8"},
		"two slashes":           {toAPI("GET", "//evil.example/", ""), 400, agent.CodeUsage, "empty part"},
		"three slashes":         {toAPI("GET", "///kyc", ""), 400, agent.CodeUsage, "empty part"},
		"two slashes within":    {toAPI("GET", "/kyc//x", ""), 400, agent.CodeUsage, "empty part"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, ln, test.raw)
			p := a.problem(t)
			if a.StatusCode != test.status || p.Code != test.code || !strings.Contains(p.Detail, test.say) || a.Header.Get("Kyc-Error") != string(test.code) {
				t.Errorf("%d %s, Kyc-Error %q; want %d %s with %q", a.StatusCode, a.body, a.Header.Get("Kyc-Error"), test.status, test.code, test.say)
			}
			if got := a.Header.Get("Allow"); (got != "") != (test.status == 405) {
				t.Errorf("Allow %q", got)
			}
		})
	}
	if raw := u.wire(); raw != "" {
		t.Errorf("the API got %q", raw)
	}
}
