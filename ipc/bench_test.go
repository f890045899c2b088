package ipc

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

const benchTarget = "/v1/token?env=prod&min_valid=5m&format=header"

// The handler alone.
func BenchmarkHandler(b *testing.B) {
	h := benchHandler(b)
	r := httptest.NewRequest(http.MethodGet, benchTarget, nil)
	r.Host = wire.Host
	r.Header.Set("Accept", "text/plain")
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

func BenchmarkHandlerParallel(b *testing.B) {
	h := benchHandler(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := httptest.NewRequest(http.MethodGet, benchTarget, nil)
		r.Host = wire.Host
		for pb.Next() {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}

func benchHandler(b *testing.B) *handler {
	return &handler{serving: b.Context(), service: &scripted{}, log: discard}
}

// One connection per request, as kyc-token does it.
func BenchmarkSocketConnect(b *testing.B) {
	path := serveUnix(b, &scripted{})
	raw := []byte("GET " + benchTarget + " HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n\r\n")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := net.Dial("unix", path)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = c.Write(raw)
			if got, err := io.ReadAll(c); err != nil || len(got) == 0 {
				b.Error(err)
			}
			_ = c.Close()
		}
	})
}

// Connections that are used again.
func BenchmarkSocketKeepAlive(b *testing.B) {
	path := serveUnix(b, &scripted{})
	raw := []byte(rawRequest("GET", benchTarget, "", textPlain))
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("unix", path)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 4096)
		for pb.Next() {
			_, _ = c.Write(raw)
			if _, err := c.Read(buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkClient(b *testing.B) {
	c := &Client{Socket: serveUnix(b, &scripted{})}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Token(b.Context(), agent.TokenRequest{Environment: "prod"}); err != nil {
				b.Error(err)
			}
		}
	})
}
