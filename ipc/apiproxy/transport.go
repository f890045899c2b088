package apiproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/discard"
	"github.com/legaltalent/kyc-agent/internal/proxyconnect"
)

const (
	// StallTimeout is how long a client or an API may send or take nothing in the middle of
	// a body that the other side waits for.
	StallTimeout = time.Minute
	// ResponseTimeout is how long an API may take to begin its answer.
	ResponseTimeout = 2 * time.Minute

	connectTimeout = 10 * time.Second // for the connection, and again for TLS

	// A connection that was kept over a suspend is dead, and the next request on it fails.
	idleTimeout = 30 * time.Second
)

// A DialFunc is [net.Dialer.DialContext].
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// NewTransport returns a transport that connects with dial; nil means the network. It
// speaks HTTP/1.1 only, so that a connection that fails takes one request with it.
func NewTransport(dial DialFunc) *http.Transport {
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
			return &stallTimeoutConn{Conn: c}, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		ResponseHeaderTimeout:  ResponseTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    64,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // bytes are passed on unchanged
	}
}

// A stallTimeoutConn fails a Write when the API takes nothing for StallTimeout.
type stallTimeoutConn struct {
	net.Conn
	body atomic.Pointer[stallTimeoutBody] // the streamed body of the request on it
}

// Close gives up the body as well: [http.Transport] reports that an API is gone only after
// its last Read of the body, and the client may send nothing for a minute.
func (c *stallTimeoutConn) Close() error {
	c.body.Load().giveUp()
	return c.Conn.Close()
}

func (c *stallTimeoutConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(StallTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// A stallTimeoutWriter fails a Write when the client takes nothing for StallTimeout.
type stallTimeoutWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	body    *stallTimeoutBody // the streamed body of the request
	began   bool              // the answer, not only a 1xx

	extended time.Time // when the deadline was set
}

// Unwrap leads an [http.ResponseController] to the server's writer.
func (w *stallTimeoutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader passes a status on, but for the API's 100 Continue: net/http sends one of its
// own when the body is read, which begins when the API's arrived. The client would get both.
func (w *stallTimeoutWriter) WriteHeader(status int) {
	if status == http.StatusContinue {
		return
	}
	if status >= http.StatusOK {
		w.began = true
		w.body.closeUnlessRead(w.Header())
		if _, ok := w.Header()["Content-Type"]; !ok {
			w.Header()["Content-Type"] = nil // or net/http would guess one
		}
	} else {
		deleteKyc(w.Header())
	}
	w.extendDeadline()
	w.ResponseWriter.WriteHeader(status)
}

func (w *stallTimeoutWriter) Write(p []byte) (int, error) {
	w.extendDeadline()
	return w.ResponseWriter.Write(p)
}

// flush sends what was written so far.
func (w *stallTimeoutWriter) flush() error {
	w.extendDeadline()
	return w.control.Flush()
}

// extendDeadline sets the deadline anew, unless that was done a moment ago, as for the head, the
// body and the end of a small answer.
func (w *stallTimeoutWriter) extendDeadline() {
	if now := time.Now(); now.Sub(w.extended) > 10*time.Millisecond {
		w.extended = now
		_ = w.control.SetWriteDeadline(now.Add(StallTimeout))
	}
}

// RoundTrip sends a request. If its body is still there, it is sent again after a 401, once
// and if there is a newer token, and after a 429 if it may wait for another turn.
func (q *proxyRequest) RoundTrip(out *http.Request) (*http.Response, error) {
	if q.streamed != nil {
		out = q.streamed.traceConn(out)
	}
	renewed := false
	for {
		res, err := q.send(out)
		if err != nil || q.streamed != nil {
			return res, err
		}
		again := false
		switch res.StatusCode {
		case http.StatusUnauthorized:
			again = !renewed && q.renewToken()
			renewed = true
		case http.StatusTooManyRequests:
			again = q.mayWaitAgain()
		}
		if !again {
			return res, nil
		}
		discard.Body(res.Body)
		if err := q.takeTurn(true); err != nil {
			return nil, err
		}
		if out, err = q.copyOf(out); err != nil {
			return nil, err
		}
	}
}

// send sends the request once, for which it has its turn.
func (q *proxyRequest) send(out *http.Request) (*http.Response, error) {
	q.refund = nil
	res, err := q.proxy.Transport.RoundTrip(out)
	q.endTurn(res)
	return res, err
}

// copyOf returns a request to send out again, with the newest token.
func (q *proxyRequest) copyOf(out *http.Request) (_ *http.Request, err error) {
	again := out.Clone(out.Context())
	if out.GetBody != nil {
		again.Body, err = out.GetBody()
	}
	authorize(again, q.token)
	return again, err
}

// renewToken asks for a token that is newer than the refused one, by asking for more
// remaining life than that one has. Without one the API's 401 is the answer.
func (q *proxyRequest) renewToken() bool {
	old := q.token
	if old.ExpiresAt.IsZero() {
		return false // there is never a newer API key
	}
	left := old.ExpiresAt.Round(0).Sub(time.Now().Round(0))
	t, err := q.getToken(max(left, 0) + time.Second)
	if errors.Is(err, agent.CodeUnavailable) { // a newer one may be there, and have less life than was asked for
		t, err = q.getToken(0)
	}
	if err != nil || t.APIURL != old.APIURL || t.IDToken.Equal(old.IDToken) {
		return false
	}
	q.token = t
	return true
}

// transportError returns the error for a request to which the API sent no answer. It names
// the API's host, and quotes nothing of what the API sent.
func (q *proxyRequest) transportError(apiHost string, err error) error {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		return e
	}
	server := "the API at " + apiHost
	if q.proxy.Token == nil {
		server = "the agent"
	}
	fail := func(what string) error {
		return &agent.Error{
			Code: agent.CodeUnavailable, Op: "proxy", Environment: q.token.Environment,
			Message: server + " " + what, Hint: "try again", Err: err,
		}
	}
	failed, gaveUp := q.streamed.failure()
	switch {
	case failed:
		return errIncompleteBody()
	case q.proxy.Serving.Err() != nil || q.in.Context().Err() != nil && !gaveUp:
		return q.cutOff()
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

// cutOff returns the error for an answer that was not passed on to its end.
func (q *proxyRequest) cutOff() error {
	what := "the transfer was cut off"
	switch {
	case q.proxy.Serving.Err() != nil:
		what = "the agent is stopping"
	case q.in.Context().Err() != nil:
		what = "the client went away"
	case q.answer.stalled():
		what = fmt.Sprintf("the API sent nothing for %s in the middle of its answer", StallTimeout)
	}
	return &agent.Error{Code: agent.CodeUnavailable, Op: "proxy", Environment: q.token.Environment, Message: what, Hint: "try again"}
}
