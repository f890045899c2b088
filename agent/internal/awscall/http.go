package awscall

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/internal/proxyconnect"
)

// maxAnswer is the longest body that is read, in bytes. AWS's answers are below 20 kB.
const maxAnswer = 1 << 20

var errAnswerTooLong = errors.New("answer above 1 MiB")

// Client returns a copy of c that follows no redirects, keeps no cookies and decompresses
// answers. If c is nil, the copy is of a client with the default [Transport].
func Client(c *http.Client) *http.Client {
	client := http.Client{Transport: Transport()}
	if c != nil {
		client = *c
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = gunzip{client.Transport}
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// Transport returns a transport with the proxy of the environment variables, TLS 1.2 or
// later, and a new connection for each call. Calls are an hour apart: a connection that was
// kept over a suspend or a change of network is dead, and the next call on it would only
// fail after a timeout.
func Transport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: proxyconnect.Check,
		DialContext:            (&net.Dialer{Timeout: ConnectTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    ConnectTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}

// An Exchange holds the facts about an HTTP call that the SDK does not report.
type Exchange struct {
	Sent, Received time.Time // by this machine's clock
	host           string
	date           time.Time // by the server's clock, in whole seconds; zero if not sent
	Status         int       // 0 if there was no answer
	RequestID      string    // AWS's, for its support; empty if not sent
	page           bool      // the answer is HTML
	RetryAfter     time.Duration
	Took           time.Duration // duration of the whole call
}

// WallClock returns now without its monotonic reading, which stops while a machine is
// suspended and which the server's date does not have.
func WallClock(now func() time.Time) func() time.Time {
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().Round(0) }
}

// A Doer is the HTTPClient of the SDK's clients. It fills in the [Exchange] of a call made
// with [Make], and limits the size of the answer.
type Doer struct {
	Client *http.Client
	Now    func() time.Time // this machine's wall clock
}

// Do sends req.
func (d Doer) Do(req *http.Request) (*http.Response, error) {
	x, _ := req.Context().Value(exchangeKey{}).(*Exchange)
	if x == nil {
		return nil, errors.New("a call without an exchange")
	}
	if err := bufferBody(req); err != nil {
		return nil, err
	}
	x.host, x.Sent = req.URL.Host, d.Now()
	res, err := d.Client.Do(req)
	x.Received = d.Now()
	if err != nil {
		return nil, err
	}
	x.read(res)
	res.Body = &limitedBody{res.Body, maxAnswer}
	return res, nil
}

// bufferBody replaces the body of a request by one that net/http knows to be in memory.
// net/http streams the SDK's own body, and the SDK closes that body as soon as there is an
// answer. If net/http has not seen the end of the body by then, it takes the Close for an
// error and closes the connection in the middle of the answer: a rotated refresh token would
// be lost.
func bufferBody(req *http.Request) error {
	if req.Body == nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	_ = req.Body.Close()
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

func (x *Exchange) read(res *http.Response) {
	x.Status = res.StatusCode
	x.date, _ = http.ParseTime(res.Header.Get("Date"))
	x.RetryAfter = retryAfter(res.Header.Get("Retry-After"), x.Received)
	x.page = strings.Contains(strings.ToLower(res.Header.Get("Content-Type")), "html")
	if id := res.Header.Get("X-Amzn-Requestid"); requestIDPattern.MatchString(id) {
		x.RequestID = id
	}
}

// Skew returns how far the server's clock is ahead of this machine's. The Date header has
// whole seconds and was written at some moment between Sent and Received, so a difference
// within these limits counts as 0, as does one below 2 s.
func (x *Exchange) Skew() time.Duration {
	if x.date.IsZero() {
		return 0
	}
	least, most := x.date.Sub(x.Received), x.date.Add(time.Second).Sub(x.Sent)
	if least <= 0 && most >= 0 {
		return 0
	}
	skew := (least + most) / 2
	if skew.Abs() < 2*time.Second {
		return 0
	}
	return skew.Round(time.Second)
}

// maxRetryAfter is the longest wait that a Retry-After header can cause.
const maxRetryAfter = time.Hour

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.Atoi(value); err == nil {
		d = time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// A limitedBody reads up to left bytes, and then fails with errAnswerTooLong.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errAnswerTooLong
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
