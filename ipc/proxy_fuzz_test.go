package ipc

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

// exchangeWithAPI sends raw to a proxy, behind which an API does what speak does with each
// connection, and then nothing more. It returns all that came back, and the log.
func exchangeWithAPI(t *testing.T, raw string, speak func(net.Conn)) (got []byte, log string) {
	book, ln, api := &testlog.Buffer{}, ipctest.Listen(), ipctest.Listen()
	defer api.Close()
	go func() {
		for {
			c, err := api.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); speak(c) }()
		}
	}()
	stop := serve(t, &Server{
		Service: tokenFor("http://localhost/base", "staging"), Logger: book.Logger(), Proxy: true,
		dialAPI: func(ctx context.Context, _, _ string) (net.Conn, error) { return api.Dial(ctx) },
	}, ln)
	c := dial(t, ln)
	go func() { _, _ = io.WriteString(c, raw) }()
	began := time.Now()
	got, _ = io.ReadAll(c)
	if took := time.Since(began); took > 11*time.Minute {
		t.Errorf("it held the connection for %s", took)
	}
	stop()
	if strings.Contains(book.String(), fixture.JWT) || strings.Contains(book.String(), "panicked") {
		t.Errorf("the log of %q has\n%s", raw, book)
	}
	return got, book.String()
}

// FuzzProxyRequest holds that whatever a client sends to an environment's host, the API gets
// whole requests below its path, each with one Authorization, and that the client gets no token:
// nothing of a request is taken for one to the agent.
func FuzzProxyRequest(f *testing.F) {
	for _, s := range [][4]string{
		{"GET", "/kyc?x=1", "Accept: */*", ""}, {"POST", "/kyc", "Content-Length: 2", "{}"},
		{"POST", "/u", "Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"},
		{"POST", "/u", "Transfer-Encoding: chunked", "5\r\nhello\r\nZZ\r\nGET /v1/token?env=staging HTTP/1.1\r\nHost: kyc-agent\r\n\r\n"},
		{"PUT", "/", "Content-Length: 70000\r\nExpect: 100-continue", "x"}, {"GET", "/%2e%2e/x", "Connection: authorization", ""},
		{"GET", "//evil/", "X-Original-URL: /admin", ""}, {"OPTIONS", "*", "Origin: null", ""},
		{"GET", "/", "Authorization: Bearer mine", ""}, {"GET", "/..;/", "Content-Length: 0\r\nTransfer-Encoding: identity", ""},
		{"POST", "/", "Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\nGET /v1/token HTTP/1.1\r\nHost: kyc-agent\r\n\r\n"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, method, target, header, body string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: staging\r\n" + header + "\r\n\r\n" + body
		synctest.Test(t, func(t *testing.T) {
			got, _ := exchangeWithAPI(t, raw, func(c net.Conn) {
				r := bufio.NewReader(c)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if auth := req.Header["Authorization"]; len(auth) != 1 || auth[0] != "Bearer "+fixture.JWT {
						t.Errorf("%q: the API got the Authorization %q", raw, auth)
					}
					if !strings.HasPrefix(req.RequestURI, "/base/") || req.Host != "localhost" {
						t.Errorf("%q: the API got %q at %q", raw, req.RequestURI, req.Host)
					}
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						return
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
			if bytes.Contains(got, []byte(fixture.JWT)) {
				t.Errorf("%q: the client got %q", raw, got)
			}
		})
	})
}

// FuzzProxyAnswer holds that whatever an API answers, the client gets one whole answer, or one
// that it can tell was cut off, with no Kyc- header of the API's.
func FuzzProxyAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nno", "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nKyc-Error: usage\r\nKyc-X: y\r\n\r\n", "HTTP/1.1 101 X\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nuntil the end", "HTTP/1.1 302 X\r\nLocation: http://evil/\r\nTrailer: Kyc-Error\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nKyc-Error: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", "HTTP/1.1 999 \r\n\r\n", "garbage", "",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, answer string, hangsUp bool) {
		synctest.Test(t, func(t *testing.T) {
			got, _ := exchangeWithAPI(t, toAPI("GET", "/kyc", "", "Connection: close"), func(c net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				_, _ = io.WriteString(c, answer)
				if !hangsUp { // a stream may last as long as it likes
					_ = c.SetReadDeadline(time.Now().Add(10 * time.Minute))
					_, _ = io.Copy(io.Discard, c)
				}
			})
			r := bufio.NewReader(bytes.NewReader(got))
			resp, err := http.ReadResponse(r, nil)
			for err == nil && resp.StatusCode < 200 {
				resp, err = http.ReadResponse(r, nil)
			}
			if err != nil {
				t.Fatalf("%q: %q, %v", answer, got, err)
			}
			own := resp.Header.Get("Content-Type") == "application/problem+json" && resp.Header.Get("Kyc-Error") != ""
			for name := range resp.Header {
				if strings.HasPrefix(name, "Kyc-") && !own {
					t.Errorf("%q: the client got %q", answer, got)
				}
			}
			if _, err := io.ReadAll(resp.Body); own && (err != nil || resp.StatusCode != http.StatusServiceUnavailable) {
				t.Errorf("%q: half an error, %q", answer, got)
			}
		})
	})
}
