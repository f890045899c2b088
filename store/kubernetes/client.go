package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

const (
	callTimeout = 5 * time.Second
	// maxBody is more than the largest Secret, 1 MiB in base64.
	maxBody = 4 << 20
)

// A client calls one API server as a service account. HTTP/1.1 is on purpose: with HTTP/2 one
// connection that has died without a word would hold up all calls.
type client struct {
	base        string
	credentials string

	mu   sync.Mutex
	ca   []byte // what http trusts
	http *http.Client
}

func newClient(host, port, credentials string) (*client, error) {
	c := &client{base: "https://" + net.JoinHostPort(host, port), credentials: credentials}
	if u, err := url.Parse(c.base); err != nil || u.Port() != port {
		return nil, fmt.Errorf("KUBERNETES_SERVICE_HOST %.80q and KUBERNETES_SERVICE_PORT %.20q are not an address", host, port)
	}
	_, err := c.trusting()
	return c, err
}

// trusting returns the HTTP client for the present ca.crt, which a cluster may replace.
func (c *client) trusting() (*http.Client, error) {
	path := filepath.Join(c.credentials, "ca.crt")
	ca, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the cluster's certificates: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil && bytes.Equal(ca, c.ca) {
		return c.http, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s has no certificate", path)
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	c.ca, c.http = ca, &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   3 * time.Second,
			TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{},
			ResponseHeaderTimeout: callTimeout,
			MaxIdleConnsPerHost:   2,
			IdleConnTimeout:       30 * time.Second,
		},
		// The token goes to the API server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c.http, nil
}

// send makes a call and returns the answer if its status is 200. It reads the token each time:
// the kubelet replaces it every hour.
func (c *client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	token, err := os.ReadFile(filepath.Join(c.credentials, "token"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the service account's token: %w", err)
	}
	trusting, err := c.trusting()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "kyc-agentd")
	resp, err := trusting.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("no answer of the API server %s: %w", c.base, e.Err)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		data, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		return nil, parseStatus(resp.StatusCode, data)
	}
	return resp, nil
}

// do returns the body of the answer, and the API server's clock.
func (c *client) do(ctx context.Context, method, path string, body []byte) ([]byte, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return data, dateOf(resp), err
}

// dateOf returns the server's clock, or this machine's if there is no such header.
func dateOf(resp *http.Response) time.Time {
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Now().Round(0)
	}
	return at
}

// events are the answer of a watch.
type events struct {
	body    io.ReadCloser
	decoder *json.Decoder
	began   time.Time // on the API server's clock, which was between asked and since
	asked   time.Time
	since   time.Time
}

func (c *client) stream(ctx context.Context, path string) (*events, error) {
	asked := time.Now()
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return &events{body: resp.Body, decoder: json.NewDecoder(resp.Body), began: dateOf(resp), asked: asked, since: time.Now()}, nil
}

func (e *events) next(event any) error { return e.decoder.Decode(event) }

// now returns the API server's clock, and a time on this machine's that is not after it.
func (e *events) now() (at, asked time.Time) {
	passed := time.Since(e.since)
	return e.began.Add(passed), e.asked.Add(passed)
}

// Close ends the watch.
func (e *events) Close() { _ = e.body.Close() }

// A statusError is a refusal of the API server.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string { return fmt.Sprintf("%s (%d)", e.message, e.code) }

// parseStatus reads a Status. A code of 0 is taken from it.
func parseStatus(code int, data []byte) error {
	var status struct {
		Message string `json:"message"`
		Code    int    `json:"code"`
	}
	_ = json.Unmarshal(data, &status)
	if code == 0 {
		code = status.Code
	}
	if status.Message == "" {
		status.Message = http.StatusText(code)
	}
	return &statusError{code, sanitize.Cut(status.Message, 300)}
}
