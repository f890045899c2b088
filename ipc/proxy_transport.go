package ipc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/proxyconnect"
)

const (
	// stallTimeout is how long a client or an API may stand still in the middle of a
	// body that the other side waits for.
	stallTimeout = time.Minute
	// apiTimeout is how long an API may take for the head of its answer.
	apiTimeout = 2 * time.Minute

	connectTimeout = 10 * time.Second // each for the connection and for TLS in it

	// A connection kept over a suspend is dead, and takes the next request with it.
	apiIdleTimeout = 30 * time.Second
)

// proxyTransport speaks HTTP/1.1 alone: one connection's trouble is one request's.
func proxyTransport(dial dialFunc) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: proxyconnect.Check,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &patientConn{Conn: c}, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		ResponseHeaderTimeout:  apiTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        apiIdleTimeout,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    64,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // bytes go through as they are
	}
}

// A patientConn gives an API stallTimeout to take each piece of a request.
type patientConn struct {
	net.Conn
	body atomic.Pointer[patientBody] // of the request on it, where that comes as it goes
}

// Close gives up the body as well: [http.Transport] tells of an API that is gone only
// when it has stopped reading, and the client may send nothing for a minute.
func (c *patientConn) Close() error {
	c.body.Load().giveUp()
	return c.Conn.Close()
}

func (c *patientConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// A patientWriter gives a client stallTimeout to take each piece of an answer.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	body    *patientBody // of the request, where that comes as it goes
	began   bool         // an answer, not only a 1xx
}

// Unwrap leads an [http.ResponseController] to what is beneath.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *patientWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.began = true
		w.body.closeUnlessRead(w.Header())
	}
	w.wait()
	w.ResponseWriter.WriteHeader(status)
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.wait()
	return w.ResponseWriter.Write(p)
}

func (w *patientWriter) wait() { _ = w.control.SetWriteDeadline(time.Now().Add(stallTimeout)) }

// RoundTrip sends a request once and, when the API says 401 to a token that can be
// had newer and a body that is still there, once more.
func (f *forwarding) RoundTrip(out *http.Request) (*http.Response, error) {
	if f.sent != nil {
		out = f.sent.sentOn(out)
	}
	res, err := f.transport.RoundTrip(out)
	if err != nil || res.StatusCode != http.StatusUnauthorized || f.sent != nil || !f.renew() {
		return res, err
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxBody) // so that the connection can be kept
	_ = res.Body.Close()
	again := out.Clone(out.Context())
	if out.GetBody != nil {
		again.Body, _ = out.GetBody()
	}
	authorize(again, f.token)
	return f.transport.RoundTrip(again)
}

// renew asks for a token that is newer than the one that was refused, by asking for
// more life than that one has left. Without one the API's 401 stands.
func (f *forwarding) renew() bool {
	old := f.token
	if old.ExpiresAt.IsZero() {
		return false // an API key has no newer one
	}
	left := old.ExpiresAt.Round(0).Sub(time.Now().Round(0))
	t, err := f.tokenFor(max(left, 0) + time.Second)
	if err != nil || t.APIURL != old.APIURL || t.IDToken.Equal(old.IDToken) {
		return false
	}
	f.token = t
	return true
}

// failed is the error for a request that got no answer of the API's. It names the
// API's host, and nothing that the API said.
func (f *forwarding) failed(apiHost string, err error) error {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		return e
	}
	fail := func(what string) error {
		return &agent.Error{
			Code: agent.CodeUnavailable, Op: "proxy", Environment: f.token.Environment,
			Message: "the API at " + apiHost + " " + what, Hint: "try again", Err: err,
		}
	}
	failed, gaveUp := f.sent.ended()
	switch {
	case failed:
		return usage("the body did not arrive whole")
	case f.base.Err() != nil || f.in.Context().Err() != nil && !gaveUp:
		return f.cutOff()
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return fail("cannot be reached: its name cannot be resolved")
	}
	if status, ok := proxyconnect.StatusOf(err); ok {
		return fail(fmt.Sprintf("cannot be reached: the HTTP proxy answered %d", status))
	}
	if isUntrusted(err) {
		return fail("cannot be trusted: its certificate is not right")
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return fail("did not answer in time")
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return fail("cannot be reached")
	}
	return fail("hung up without an answer")
}

func isUntrusted(err error) bool {
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return verify || host || record
}

// cutOff is the error for a transfer that ended before its end.
func (f *forwarding) cutOff() error {
	what := "the transfer was cut off"
	switch {
	case f.base.Err() != nil:
		what = "the agent is stopping"
	case f.in.Context().Err() != nil:
		what = "the client went away"
	}
	return &agent.Error{Code: agent.CodeUnavailable, Op: "proxy", Environment: f.token.Environment, Message: what, Hint: "try again"}
}
