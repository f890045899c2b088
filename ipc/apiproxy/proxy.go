// Package apiproxy forwards HTTP requests to an environment's API and adds the
// Authorization header.
//
//	p := &apiproxy.Proxy{Token: service.Token, Transport: apiproxy.NewTransport(nil), …}
//	environment, user, began, err := p.Forward(w, r)
//
// The host of a request names the environment. Bodies of any size are passed on as they
// arrive, both ways at once, and the answer is the API's own, also a redirect, a 429 or a
// 500. If it is a 401 and the request had no body, or one of at most 64 KiB whose length is
// known, the proxy gets a newer token and sends the request once more. An error of the agent
// is a problem with its code in a Kyc-Error header, which no answer of the API has; if the
// API cannot be reached, the code is unavailable. What net/http itself refuses, a head that
// is malformed or too large, is a line of text with Connection: close.
//
// The client never gets the token, unless the API itself shows it: an answer that echoes the
// request's head is passed on unchanged. Nor does the token go to any other server:
// redirects are not followed, and a path that could lead out of the path of api_url is
// refused, which is one with "." or ".." in it, "//", a backslash, or a slash or control
// character in some encoding. Also refused are an Authorization of the client's, Upgrade,
// CONNECT, TRACE, whole URLs, trailers, and HTTP/1.0, whose clients cannot tell an answer
// that was cut off from a complete one. With a Policy, methods and paths that it does not allow
// are refused, and headers that name another method or path are removed.
//
// A client or an API that sends or takes nothing for a minute in the middle of a body is
// disconnected; if one of them disconnects, the request ends at the other side too. Only an
// answer that is a stream by its Content-Type (text/event-stream, application/x-ndjson,
// application/jsonl, application/json-seq, multipart/x-mixed-replace) may pause for any time.
// An API may take two minutes to begin its answer, which is enough for long polling.
//
// The requests of all clients stay within the API's limit: see package pace. While it is used
// up a request is answered 429 without a call, unless it has the header Prefer: wait=N: then it
// waits for its turn, up to N seconds, and a 429 of the API puts it back into the queue if it
// can be sent again. While a request waits, its body is not read, unless it is a small one.
package apiproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/discard"
	"github.com/legaltalent/kyc-agent/internal/lazycontext"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy/pace"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

const (
	// maxReplayed is the largest body, in bytes, that is read whole before it is sent, so
	// that it can be sent again with a newer token.
	maxReplayed = wire.MaxBody
	// copyBuffer is the size, in bytes, of the pieces in which bodies are copied.
	copyBuffer = 32 << 10
	// firstRead is the most room, in bytes, that there is for a body before it arrives.
	firstRead = 4 << 10
)

// A Proxy forwards requests to the API of the environment that is their host. Set the
// fields before the first call.
type Proxy struct {
	// Token returns the token of an environment; it is that of an [agent.Service]. Nil makes p
	// a relay: Transport leads to another agent, which adds the token, and whose own headers
	// are kept.
	Token func(context.Context, agent.TokenRequest) (agent.Token, error)
	// Policy decides what is forwarded; nil allows everything.
	Policy *agent.Policy
	// Admit counts a request that Policy allows against its rate; nil allows any number. refund
	// takes one back that was not sent.
	Admit     func() (refund func(), err error)
	Transport *http.Transport // of NewTransport
	// TokenTimeout bounds the wait for a token.
	TokenTimeout time.Duration
	// Serving ends when the server cuts off the requests that it still answers.
	Serving context.Context
	// Pace keeps the requests within the API's limit. One Pacer serves all sockets.
	Pace *pace.Pacer
	// Client says who sends a request, for fair turns; nil makes all requests one client's.
	Client func(*http.Request) pace.Client
	// Confirm waits until a person has approved a request, or returns an error; nil approves
	// all. limited says that the approval is for some methods and paths.
	Confirm func(ctx context.Context, r *http.Request) (limited bool, err error)
	// HungUp reports whether a client is gone whose body is not read yet; nil cannot tell.
	HungUp func(*http.Request) bool
	// Stopping is closed when nothing may wait for its turn any longer; nil never is.
	Stopping <-chan struct{}
	// OnUse is called before a request is sent with a token, with the status 0, and before the
	// API's answer is passed on, with the answer's. An error keeps that from happening.
	OnUse func(r *http.Request, t agent.Token, status int) error
	// OnPanic logs the value of a panic and returns the error for the client.
	OnPanic func(v any) error

	buffers bufferPool
	base    atomic.Pointer[parsedURL]
}

// Forward forwards one request and writes the API's answer to w. environment, and the user
// whose token was sent, are empty if no token was needed. If err is not nil and an answer has
// not begun, the caller writes err as the answer. If it has begun, the caller aborts it (see
// [http.ErrAbortHandler]), so that the client sees an incomplete transfer.
func (p *Proxy) Forward(w http.ResponseWriter, r *http.Request) (environment, user string, began bool, err error) {
	q := &proxyRequest{proxy: p, in: r, out: &stallTimeoutWriter{ResponseWriter: w, control: http.NewResponseController(w)}}
	defer func() {
		v := recover()
		switch {
		case v == nil:
		case v == http.ErrAbortHandler:
			err = q.cutOff()
		default:
			err = p.OnPanic(v)
		}
		q.endTurn(nil) // unless it has ended
		if q.refund != nil {
			q.refund()
		}
		environment, user, began = q.token.Environment, q.token.User, q.out.began
		switch {
		case err == nil:
		case began:
			_ = q.out.control.Flush() // or the client would see no answer instead of an incomplete one
		default:
			clear(w.Header()) // those of an answer that was not written
			q.setPreferenceApplied(w.Header())
			if q.streamed == nil {
				discard.Request(w, r)
			}
			q.streamed.closeUnlessRead(w.Header())
		}
	}()
	return "", "", false, q.forward()
}

// A proxyRequest is one request that is being forwarded.
type proxyRequest struct {
	proxy    *Proxy
	in       *http.Request
	out      *stallTimeoutWriter
	token    agent.Token
	body     []byte            // all of it, if it is small
	streamed *stallTimeoutBody // otherwise, the body that is copied as it arrives
	answer   *stallTimeoutAnswer
	err      error // why there is no answer of the API's
	limited  bool  // Confirm says so

	wait     time.Duration // how long it may wait for its turn
	waitEnds time.Time
	turn     pace.Turn
	refund   func() // takes the request back from the rate; nil once it is sent
}

// forward returns an error if there is no answer of the API's to pass on.
func (q *proxyRequest) forward() (err error) {
	if err := checkRequest(q.in); err != nil {
		return err
	}
	if err := q.checkPolicy(); err != nil {
		return err
	}
	if err := q.readSmallBody(); err != nil {
		return err
	}
	target, err := q.target()
	if err != nil {
		return err
	}
	q.liftDeadlines()
	defer q.streamed.finish()
	reverse := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL, pr.Out.Host = target, ""
			q.rewrite(pr.Out)
		},
		Transport:    q,
		BufferPool:   &q.proxy.buffers,
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { q.err = q.transportError(target.Host, err) },
		ErrorLog:     noLog, // it would quote the API; the caller logs err
	}
	reverse.ModifyResponse = func(res *http.Response) error {
		if !isSmall(res) {
			reverse.FlushInterval = -1
		}
		return q.modifyResponse(res)
	}
	reverse.ServeHTTP(q.out, q.in)
	if q.err == nil {
		q.answer.sendRest()
	}
	deleteKyc(q.out.Header()) // from here on, only the trailers in it are sent
	q.out.extendDeadline()    // the end of a body may come long after its last piece
	return q.err
}

// target returns where the request goes. It gets the token for it and waits for its turn; a
// relay leaves both to the agent.
func (q *proxyRequest) target() (*url.URL, error) {
	if q.proxy.Token == nil {
		q.token.Environment = q.in.Host
		return forwardURL(&url.URL{Scheme: "http", Host: q.in.Host}, q.in.URL)
	}
	err := q.confirm()
	if err != nil {
		return nil, err
	}
	if q.proxy.Admit != nil {
		if q.refund, err = q.proxy.Admit(); err != nil {
			return nil, err
		}
	}
	if q.token, err = q.getToken(0); err != nil {
		return nil, err
	}
	q.readPreference()
	if err := q.takeTurn(false); err != nil {
		return nil, err
	}
	base, err := q.proxy.baseURL(q.token)
	if err != nil {
		return nil, err
	}
	target, err := forwardURL(base, q.in.URL)
	if err == nil {
		err = q.proxy.use(q.in, q.token, 0)
	}
	return target, err
}

func (p *Proxy) use(r *http.Request, t agent.Token, status int) error {
	if p.OnUse == nil {
		return nil
	}
	return p.OnUse(r, t, status)
}

func (q *proxyRequest) confirm() (err error) {
	if q.proxy.Confirm == nil {
		return nil
	}
	ctx, cancel := lazycontext.WithTimeout(q.in.Context(), q.proxy.TokenTimeout)
	defer cancel()
	q.limited, err = q.proxy.Confirm(ctx, q.in)
	return err
}

// noLog is for what nobody may read.
var noLog = log.New(io.Discard, "", 0)

// readSmallBody reads a body that is small and whose length is known, so that it can be
// sent twice. The server's own deadline applies.
func (q *proxyRequest) readSmallBody() error {
	if q.in.ContentLength <= 0 || q.in.ContentLength > maxReplayed {
		return nil
	}
	var body bytes.Buffer
	body.Grow(int(min(q.in.ContentLength, firstRead)) + bytes.MinRead)
	if _, err := body.ReadFrom(q.in.Body); err != nil {
		return errIncompleteBody()
	}
	q.body = body.Bytes()
	return nil
}

func errIncompleteBody() error { return wire.UsageError("the body did not arrive whole") }

// getToken returns a token that is valid for at least minValid.
func (q *proxyRequest) getToken(minValid time.Duration) (agent.Token, error) {
	ctx, cancel := lazycontext.WithTimeout(q.in.Context(), q.proxy.TokenTimeout)
	defer cancel()
	t, err := q.proxy.Token(ctx, agent.TokenRequest{Environment: q.in.Host, MinValid: minValid})
	if err == nil && t.Rendered.Authorization() == nil { // else it was checked before that was made
		err = wire.CheckToken(t)
	}
	return t, err
}

// liftDeadlines allows bodies of any length: from here on, only a client or an API that
// stops in the middle of one is disconnected. Bodies go both ways at once, because an API may
// answer before it has read everything.
func (q *proxyRequest) liftDeadlines() {
	_ = q.out.control.EnableFullDuplex()
	_ = q.out.control.SetReadDeadline(time.Time{})
	if q.body == nil && q.in.ContentLength != 0 {
		_ = q.out.control.SetWriteDeadline(time.Time{}) // net/http may write 100 Continue; all else has a new one
		q.streamed = &stallTimeoutBody{ReadCloser: q.in.Body, control: q.out.control, client: q.in.Context()}
		q.in = q.in.WithContext(q.in.Context()) // a copy: the server still uses its own
		q.in.Body = q.streamed
		q.out.body = q.streamed
	}
}

// rewrite runs after the headers that concern one hop were removed, so that no Connection
// header can remove what it adds.
func (q *proxyRequest) rewrite(out *http.Request) {
	if q.proxy.Policy != nil || q.limited {
		maps.DeleteFunc(out.Header, func(name string, _ []string) bool { return agent.IsOverride(name) })
	}
	if q.proxy.Token != nil {
		authorize(out, q.token)
	}
	if q.body != nil {
		out.Header.Del("Expect") // the body is here already
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(q.body)), nil }
		out.Body, _ = out.GetBody()
	}
}

// authorize adds the token, of which getToken has made sure that a header can carry it.
func authorize(r *http.Request, t agent.Token) {
	value := t.Rendered.Authorization()
	if value == nil {
		value = []string{"Bearer " + t.IDToken.Reveal()}
		t.Rendered.KeepAuthorization(value)
	}
	r.Header["Authorization"] = value
}

// modifyResponse removes from the API's answer the headers that only the agent may set, and
// gives it up when it stands still. It refuses a status that HTTP does not have, which net/http
// reads and panics to write, and a switch of protocols that nobody asked for, after which
// [httputil.ReverseProxy] would leave the connection open.
func (q *proxyRequest) modifyResponse(res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		return errSwitched
	case res.StatusCode < 100:
		return &agent.Error{
			Code: agent.CodeUnavailable, Op: "proxy", Environment: q.token.Environment,
			Message: fmt.Sprintf("the API at %s answered with the status %03d, which there is not", res.Request.URL.Host, res.StatusCode), Hint: "try again",
		}
	}
	if err := q.proxy.use(q.in, q.token, res.StatusCode); err != nil {
		return err
	}
	if !isStream(res.Header) {
		q.answer = &stallTimeoutAnswer{ReadCloser: res.Body}
		if isSmall(res) {
			q.answer.left, q.answer.flush = res.ContentLength, q.out.flush
		}
		res.Body = q.answer
	}
	q.setPreferenceApplied(res.Header)
	if q.proxy.Token != nil { // a relay passes on what the agent says
		deleteKyc(res.Header)
		deleteKyc(res.Trailer) // those that are announced
	}
	if line := sanitize.OneLine(q.token.Warning); line != "" {
		res.Header.Set(wire.HeaderWarning, line)
	}
	return nil
}

// deleteKyc removes the headers and trailers that only the agent may set.
func deleteKyc(h http.Header) {
	maps.DeleteFunc(h, func(name string, _ []string) bool {
		return strings.HasPrefix(strings.TrimPrefix(name, http.TrailerPrefix), wire.HeaderPrefix)
	})
}

var errSwitched = errors.New("the API switched protocols")

// A bufferPool lends buffers of copyBuffer bytes.
type bufferPool struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (b *bufferPool) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, copyBuffer)
}

// Put implements [httputil.BufferPool].
func (b *bufferPool) Put(p []byte) { b.pool.Put(&p) }
