package ipc

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

const benchTarget = "/v1/token?env=prod&min_valid=5m&format=header"

// The handler alone.
func BenchmarkHandler(b *testing.B) {
	h, r, w := benchHandler(b), benchRequest(), newFastWriter()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
	if w.status != http.StatusOK || w.n == 0 {
		b.Fatal(w)
	}
}

// maxAllocations is the most that the handler may make for a cached token: the garbage collector
// was a third of its time when it made 36.
const maxAllocations = 12

func TestHandlerAllocations(t *testing.T) {
	h, r, w := &handler{serving: t.Context(), service: &scripted{}, log: noLog, version: []string{"v1.2.3"}}, benchRequest(), newFastWriter()
	if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n > maxAllocations || w.status != http.StatusOK {
		t.Errorf("a cached token takes %v allocations, want %d at most (status %d)", n, maxAllocations, w.status)
	}
}

// benchRequest returns kyc-token's request, on a connection that is kept.
func benchRequest() *http.Request {
	on := context.WithValue(context.Background(), connectionKey{}, &connection{})
	r := httptest.NewRequest(http.MethodGet, benchTarget, nil).WithContext(on)
	r.Host = wire.Host
	r.Header.Set("Accept", "text/plain")
	return r
}

// A fastWriter is a [http.ResponseWriter] that allocates nothing. Like that of net/http it begins
// each answer with an empty header.
type fastWriter struct {
	header http.Header
	status int
	n      int
}

func newFastWriter() *fastWriter { return &fastWriter{header: http.Header{}} }

func (w *fastWriter) Header() http.Header { return w.header }

func (w *fastWriter) WriteHeader(status int) {
	w.status = status
	clear(w.header)
}

func (w *fastWriter) Write(p []byte) (int, error) {
	w.n += len(p)
	return len(p), nil
}

func (w *fastWriter) WriteString(s string) (int, error) {
	w.n += len(s)
	return len(s), nil
}

func (w *fastWriter) SetWriteDeadline(time.Time) error { return nil }

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
	return &handler{serving: b.Context(), service: &scripted{}, log: noLog}
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
