package ipc

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// copyBuffer is how much of a body, in bytes, is in hand at a time.
const copyBuffer = 32 << 10

// A proxy forwards requests to the API of the environment that is their host, and
// puts the Authorization header on.
type proxy struct {
	*api
	transport *http.Transport
	buffers   buffers
}

// newProxy makes a proxy that connects with dial; nil means the network.
func newProxy(a *api, dial dialFunc) *proxy {
	return &proxy{api: a, transport: proxyTransport(dial)}
}

// wants reports whether r is for the proxy rather than for the agent itself.
func (p *proxy) wants(r *http.Request) bool { return p != nil && r.Host != "" && r.Host != host }

// ServeHTTP forwards one request. An answer of which a part has been sent can only be
// broken off; the client then sees a transfer that is not complete.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	markForwarded(r)
	f := &forwarding{proxy: p, in: r, out: &patientWriter{ResponseWriter: w, control: http.NewResponseController(w)}}
	defer func() {
		v := recover()
		switch {
		case v == nil:
		case v == http.ErrAbortHandler:
			f.err = f.cutOff()
		default:
			f.err = p.crashed(v)
		}
		p.note(r, "proxy", f.token.Environment, started, f.err)
		switch {
		case f.err == nil:
		case f.out.began:
			_ = f.out.control.Flush() // so that it is seen to break off, and not as no answer
			panic(http.ErrAbortHandler)
		default:
			clear(w.Header()) // of an answer that came to nothing
			p.sign(w.Header())
			f.sent.closeUnlessRead(w.Header())
			write(w, problemReply(f.err))
		}
	}()
	f.err = f.run()
}

// A forwarding is one request on its way.
type forwarding struct {
	*proxy
	in    *http.Request
	out   *patientWriter
	token agent.Token
	body  []byte       // the whole of it, where it is small
	sent  *patientBody // else it comes as it goes
	err   error        // of the agent's own
}

// run forwards the request and returns an error when there is none of the API's
// answer to hand on.
func (f *forwarding) run() (err error) {
	if err := checkProxied(f.in); err != nil {
		return err
	}
	if err := checkPath(f.in.URL.EscapedPath()); err != nil {
		return err
	}
	if err := f.readSmall(); err != nil {
		return err
	}
	if f.token, err = f.tokenFor(0); err != nil {
		return err
	}
	base, err := baseURL(f.token)
	if err != nil {
		return err
	}
	target, err := forwardURL(base, f.in.URL)
	if err != nil {
		return err
	}
	f.liftLimits()
	defer f.sent.finish()
	reverse := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL, pr.Out.Host = target, ""
			f.rewrite(pr.Out)
		},
		Transport:    f,
		BufferPool:   &f.buffers,
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { f.err = f.failed(base.Host, err) },
		ErrorLog:     log.New(io.Discard, "", 0), // it would quote the API; note says what happened
	}
	reverse.ModifyResponse = func(res *http.Response) error {
		reverse.FlushInterval = flushInterval(res.ContentLength)
		f.answered(res)
		return nil
	}
	reverse.ServeHTTP(f.out, f.in)
	f.out.wait() // the end of a body may come long after the last piece of it
	return f.err
}

// flushInterval is how long a piece of an answer may wait for the next: not at all, but
// for an answer that is small, which then mostly goes in one piece.
func flushInterval(length int64) time.Duration {
	if 0 <= length && length <= copyBuffer {
		return 5 * time.Millisecond
	}
	return -1
}

// readSmall reads a body that is small and tells its length, so that it can be sent
// twice. The server's own deadline holds for it.
func (f *forwarding) readSmall() error {
	if f.in.ContentLength <= 0 || f.in.ContentLength > maxBody {
		return nil
	}
	body, err := io.ReadAll(f.in.Body)
	if err != nil {
		return usage("the body did not arrive whole")
	}
	f.body = body
	return nil
}

// tokenFor asks for a token with so much life left, and waits no longer for it than
// for one that is handed out.
func (f *forwarding) tokenFor(minValid time.Duration) (agent.Token, error) {
	ctx, cancel := context.WithTimeout(f.in.Context(), tokenTimeout)
	defer cancel()
	t, err := f.service.Token(ctx, agent.TokenRequest{Environment: f.in.Host, MinValid: minValid})
	if err == nil {
		err = sendable(t)
	}
	return t, err
}

// liftLimits makes room for bodies of any length: from here on it is a client, or an
// API, that stands still which is given up. Bodies go both ways at once, for an API
// may answer before it has read everything.
func (f *forwarding) liftLimits() {
	_ = f.out.control.EnableFullDuplex()
	_ = f.out.control.SetReadDeadline(time.Time{})
	_ = f.out.control.SetWriteDeadline(time.Time{})
	if f.body == nil && f.in.ContentLength != 0 {
		f.sent = &patientBody{ReadCloser: f.in.Body, control: f.out.control, client: f.in.Context()}
		f.in = f.in.WithContext(f.in.Context()) // a copy: the server keeps an eye on its own
		f.in.Body = f.sent
		f.out.body = f.sent
	}
}

// rewrite is called when headers that concern one hop are gone already, so that no
// Connection header can take away what it adds.
func (f *forwarding) rewrite(out *http.Request) {
	out.URL.RawQuery = f.in.URL.RawQuery // with what net/http cannot parse
	authorize(out, f.token)
	if f.body != nil {
		out.Header.Del("Expect") // it has arrived
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.body)), nil }
		out.Body, _ = out.GetBody()
	}
}

func authorize(r *http.Request, t agent.Token) {
	r.Header.Set("Authorization", "Bearer "+t.IDToken.Reveal())
}

// answered sees the API's answer before the client does.
func (f *forwarding) answered(res *http.Response) {
	for _, name := range []string{headerError, headerWarning, headerVersion} {
		res.Header.Del(name)
	}
	if line := sanitize.OneLine(f.token.Warning); line != "" {
		res.Header.Set(headerWarning, line)
	}
}

// buffers lends buffers of copyBuffer bytes.
type buffers struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, copyBuffer)
}

// Put implements [httputil.BufferPool].
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

// dialFunc is [net.Dialer.DialContext].
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)
