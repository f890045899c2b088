package ipc

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

// FuzzServer sends bytes to a server and then nothing more. The server answers
// with complete HTTP responses or disconnects, within its deadlines, and never panics. It
// runs in a bubble, where waiting for a deadline takes no time.
func FuzzServer(f *testing.F) {
	for _, seed := range []string{
		"", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		rawRequest("GET", "/v1/token?env=prod&min_valid=5m&format=curl", "", textPlain),
		"GET /v1/token?env=E&min_valid=300&format=header HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n\r\n",
		rawRequest("GET", "/v1/status", "") + rawRequest("GET", "/v1/token", ""),
		post("/v1/login", `{"environment":"prod","username":"u","password":"p"}`),
		post("/v1/login/ABC", `{"answers":{"code":"1"}}`), rawRequest("DELETE", "/v1/login/ABC", ""),
		helperRequestOf("git?operation=get", gitCapable+"protocol=https\nhost=x\n"), helperRequestOf("bazel?env=prod", `{"uri":"https://x"}`),
		post("/v1/logout", `{"environment":"prod","scope":"local"}`), post("/v1/reload", ""),
		post("/v1/account", `{"action":"confirm","username":"u"}`), rawRequest("GET", "/v1/login/ABC", ""),
		"POST /v1/login HTTP/1.1\r\nHost: kyc-agent\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: kyc-agent\r\nOrigin: x\r\n\r\n", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n",
		"GET /v1/token HTTP/1.1\r\nHost: kyc-agent\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		toAPI("POST", "/kyc?x", "{}", "Connection: authorization"), toAPI("PUT", "/", "", "Transfer-Encoding: chunked") + "2\r\n{}\r\n0\r\n\r\n",
		toAPI("PUT", "/", "", "Content-Length: 70000", "Expect: 100-continue"), toAPI("GET", "/%2e%2e/", ""),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		synctest.Test(t, func(t *testing.T) { throw(t, raw) })
	})
}

func throw(t *testing.T, raw []byte) {
	book := &testlog.Buffer{}
	ln := ipctest.Listen()
	api := ipctest.Listen()
	behind := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+fixture.JWT || len(r.Header["Authorization"]) != 1 {
			t.Errorf("the API got %q", r.Header["Authorization"])
		}
		_, _ = io.Copy(w, r.Body)
	})}
	go func() { _ = behind.Serve(api) }()
	defer behind.Close()
	dialAPI := func(ctx context.Context, _, _ string) (net.Conn, error) { return api.Dial(ctx) }
	stop := serve(t, &Server{Logger: book.Logger(), Proxy: true, dialAPI: dialAPI, Service: &scripted{
		token: tokenFor("http://localhost", "staging", "").token,
		login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
			_, err := ask(ctx, agent.Challenge{Name: "X"})
			return err
		},
		recover: func(ctx context.Context, _ agent.RecoverRequest, ask agent.Prompter) error {
			_, err := ask(ctx, agent.Challenge{Name: "X"})
			return err
		},
		logout: func(context.Context, agent.LogoutRequest) error { return nil },
		status: func(context.Context) (agent.Status, error) { return agent.Status{}, nil },
	}}, ln)
	c := dial(t, ln)
	go func() { _, _ = c.Write(raw) }()
	begin := time.Now()
	got, _ := io.ReadAll(c)
	if took := time.Since(begin); took > 2*idleTimeout {
		t.Errorf("it held the connection for %s", took)
	}
	stop()
	r := bufio.NewReader(bytes.NewReader(got))
	for r.Buffered() > 0 || peek(r) {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%v in the answer %q", err, got)
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Fatalf("half a body in the answer %q", got)
		}
	}
	if strings.Contains(book.String(), "panic") {
		t.Errorf("panic:\n%s", book)
	}
}

func peek(r *bufio.Reader) bool {
	_, err := r.Peek(1)
	return err == nil
}

// FuzzQuery: a query that is accepted means the same to every other reader.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "env=prod&min_valid=5m&format=json", "env=%70rod", "env=a&env=b", "env=a;b", "%", "min_valid=-1", "min_valid=300", "&&=", "env+=x"} {
		f.Add(seed)
	}
	known := routes[0].query
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw, known)
		if err != nil {
			fixture.WantError(t, err, agent.CodeUsage)
			return
		}
		again, err := parseQuery(q.Encode(), known)
		if err != nil || again.Encode() != q.Encode() {
			t.Errorf("%q is %v, then %v, %v", raw, q, again, err)
		}
		d, err := wire.ParseMinValid(q.Get("min_valid"))
		if err != nil {
			fixture.WantError(t, err, agent.CodeUsage)
			return
		}
		if same, err := wire.ParseMinValid(d.String()); d < 0 || err != nil || same != d {
			t.Errorf("%q is %s, then %s, %v", q.Get("min_valid"), d, same, err)
		}
	})
}

// FuzzBody: a body is accepted, or refused with one line that does not quote it.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"username":"u","password":"p"}`, `{"answers":{"a":"b"}}`, `{"username":"\ud800"}`, `{`, `[]`, `{"username":{}}`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var username, password string
		var got agent.Answers
		err := fields{"username": &username, "password": &password, "answers": &got}.decode(raw)
		if err != nil {
			fixture.WantError(t, err, agent.CodeUsage)
			return
		}
		plain := map[string]string{}
		for name, s := range got {
			plain[name] = s.Reveal()
		}
		again := wire.Encode(map[string]any{"username": username, "password": password, "answers": plain})
		var username2, password2 string
		var got2 agent.Answers
		err = fields{"username": &username2, "password": &password2, "answers": &got2}.decode(again)
		same := maps.EqualFunc(got, got2, agent.Secret.Equal)
		if err != nil || username2 != username || password2 != password || !same {
			t.Errorf("%q is %s, which is not the same again: %v", raw, again, err)
		}
	})
}

// FuzzAnswer: a client accepts an answer, or returns an error of one line.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP/1.1 200 OK\r\n\r\n", rawResponse("200 OK", wire.MediaJSON, `{"state":"done"}`),
		rawResponse("200 OK", wire.MediaJSON, `{"token":"t","expires_at":"2026-01-02T03:04:05Z"}`),
		strings.Replace(rawResponse("200 OK", wire.MediaJSON, `{"token":"sk_1","expires_at":""}`), "\r\n", "\r\nKyc-Warning: soon\x1b \r\n", 1),
		rawResponse("401 Unauthorized", wire.MediaProblem, `{"code":"login_required","detail":"not signed in","retry_after":1e300}`),
		rawResponse("403 Forbidden", wire.MediaText, "no\n"), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := &Client{Socket: "/the/socket"}
		req := &http.Request{Method: "GET", URL: &url.URL{Path: "/"}}
		resp, body, err := readResponse(bytes.NewReader(raw), req)
		if err != nil {
			err = c.transportError(t.Context(), call{}, err)
		} else {
			err = c.read(call{}, resp, body, new(wire.TokenBody))
		}
		if err != nil {
			fixture.WantError(t, err, agent.CodeOf(err))
		}
	})
}
