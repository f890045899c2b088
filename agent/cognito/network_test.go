package cognito_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

var stored = agent.SignIn{Username: username, Subject: "s", RefreshToken: agent.NewSecret("the-refresh-token")}

// failing returns an Authenticator whose calls fail with err.
func failing(err error) *cognito.Authenticator {
	return cognito.New(cognito.Options{HTTPClient: &http.Client{
		Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, err }),
	}})
}

// Every reason why Cognito cannot be reached is named, and none ends a sign-in.
func TestUnreachable(t *testing.T) {
	op := func(name string, err error) error { return &net.OpError{Op: name, Net: "tcp", Err: err} }
	dial := func(err error) error { return op("dial", os.NewSyscallError("connect", err)) }
	tests := []struct {
		name string
		err  error
		says string
	}{
		{"refused", dial(syscall.ECONNREFUSED), "cognito.example refused the connection (connection refused)"},
		{"no network", dial(syscall.ENETUNREACH), "cognito.example cannot be reached (network is unreachable)"},
		{"no route", dial(syscall.EHOSTUNREACH), "cannot be reached (no route to host)"},
		{"no IPv6", dial(syscall.EADDRNOTAVAIL), "cannot be reached (cannot assign requested address)"},
		{"no host", op("dial", &net.DNSError{Err: "no such host", Name: "cognito.example", IsNotFound: true}), "cannot resolve cognito.example (no such host)"},
		{"DNS silent", op("dial", &net.DNSError{Err: "i/o timeout", Name: "cognito.example", IsTimeout: true}), "cannot resolve cognito.example (no answer from DNS)"},
		{"DNS fails", op("dial", &net.DNSError{Err: "server misbehaving", Name: "cognito.example", IsTemporary: true}), "cannot resolve cognito.example;"},
		{"reset", op("read", os.NewSyscallError("read", syscall.ECONNRESET)), "closed the connection before it answered"},
		{"pipe", op("write", os.NewSyscallError("write", syscall.EPIPE)), "closed the connection before it answered"},
		{"EOF", io.EOF, "closed the connection before it answered"},
		{"half a header", io.ErrUnexpectedEOF, "closed the connection before it answered"},
		{"dial timeout", dial(os.ErrDeadlineExceeded), "no answer from cognito.example within"},
		{"proxy refused", op("proxyconnect", dial(syscall.ECONNREFUSED)), "the proxy refused the connection"},
		{"proxy silent", op("proxyconnect", dial(os.ErrDeadlineExceeded)), "no answer from the proxy within"},
		{"TLS alert", op("remote error", errors.New("tls: handshake failure")), "cognito.example ended the TLS handshake"},
		{"no TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, "does not speak TLS"},
		{"plain HTTP", http.ErrSchemeMismatch, "does not speak TLS"},
		{"expired certificate", certificate(x509.CertificateInvalidError{Reason: x509.Expired}), "has expired or is not valid yet: check this machine's clock"},
		{"another name", certificate(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "cognito.example"}), "is for another name"},
		{"unknown authority", certificate(x509.UnknownAuthorityError{}), "an authority this machine does not know (a proxy that opens TLS?); if a proxy opens TLS here, set SSL_CERT_FILE"},
		{"another certificate trouble", certificate(errors.New("x")), "cannot be verified"},
		{"something new", errors.New(`malformed HTTP response "the-refresh-token"`), "failed before there was an answer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := failing(test.err).Refresh(t.Context(), at("https://cognito.example"), stored, nobody)
			e := wantError(t, err, agent.CodeUnavailable, test.says)
			if retried := strings.Contains(e.Error(), "the agent tries again by itself"); retried != (test.name != "unknown authority") {
				t.Errorf("another next step: %v", e)
			}
			if s := fmt.Sprintf("%v %v", e, e.Err); strings.Contains(s, "the-refresh-token") {
				t.Errorf("the other side's text got out: %s", s)
			}
		})
	}
}

func certificate(err error) error { return &tls.CertificateVerificationError{Err: err} }

func TestConnectionRefused(t *testing.T) {
	const addr = "127.0.0.1:1" // a port that no test listens on, unlike one that was given back
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), at("http://"+addr), ada(), unasked(t))
	wantError(t, err, agent.CodeUnavailable, "prod: "+addr+" refused the connection (connection refused); try again in a minute")
}

func TestUntrustedCertificate(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, err := cognito.New(cognito.Options{}).Refresh(t.Context(), at(srv.URL), stored, nobody)
	wantError(t, err, agent.CodeUnavailable, "signed by an authority this machine does not know")
}

func TestOldTLSIsRefused(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, err := cognito.New(cognito.Options{}).Refresh(t.Context(), at(srv.URL), stored, nobody)
	wantError(t, err, agent.CodeUnavailable, "ended the TLS handshake")
}

func TestProxyThatRefuses(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy saw %s", r.Method)
		}
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	to, _ := url.Parse(proxy.URL)
	transport := awscall.Transport()
	transport.Proxy = http.ProxyURL(to)
	a := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: transport}})
	_, err := a.Refresh(t.Context(), at("https://cognito.example"), stored, nobody)
	wantError(t, err, agent.CodeUnavailable, "the proxy answered HTTP 407 when asked for cognito.example")
}

// Following a redirect would send the password to another host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var seen int
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen++ }))
		srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		followed := func(*http.Request, []*http.Request) error { return nil }
		for _, client := range []*http.Client{nil, {CheckRedirect: followed}} {
			_, err := cognito.New(cognito.Options{HTTPClient: client}).Login(t.Context(), at(srv.URL), ada(), unasked(t))
			wantError(t, err, agent.CodeUnavailable, fmt.Sprintf("HTTP %d", status))
		}
		srv.Close()
		elsewhere.Close()
		if seen != 0 {
			t.Errorf("HTTP %d was followed", status)
		}
	}
}

func TestEndlessAnswer(t *testing.T) {
	for _, status := range []int{200, 400, 500} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"x":"`)
			filler := strings.Repeat("x", 64<<10)
			for {
				if _, err := io.WriteString(w, filler); err != nil {
					return
				}
			}
		}))
		_, err := cognito.New(cognito.Options{}).Refresh(t.Context(), at(srv.URL), stored, nobody)
		want := agent.CodeUnavailable
		if status == 400 {
			want = agent.CodeConfiguration // Cognito would send a code
		}
		wantError(t, err, want, "an answer above 1 MiB")
		srv.Close()
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	const longer = 15 * time.Minute // lockouts have their own
	tests := []struct {
		status int
		header string
		body   string
		code   agent.Code
		want   time.Duration
	}{
		{429, "7", "", agent.CodeThrottled, 7 * time.Second},
		{429, "", "", agent.CodeThrottled, 0},
		{429, "-5", "", agent.CodeThrottled, 0},
		{429, "soon", "", agent.CodeThrottled, 0},
		{429, "999999999999", "", agent.CodeThrottled, 0}, // beyond an hour: see below
		{503, "30", "<h1>busy</h1>", agent.CodeUnavailable, 30 * time.Second},
		{400, "5", `{"__type":"TooManyRequestsException"}`, agent.CodeThrottled, 5 * time.Second},
		{400, "5", `{"__type":"LimitExceededException"}`, agent.CodeThrottled, longer},
	}
	tests[4].want = time.Hour
	for _, test := range tests {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if test.header != "" {
				w.Header().Set("Retry-After", test.header)
			}
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}))
		_, err := cognito.New(cognito.Options{}).Refresh(t.Context(), at(srv.URL), stored, nobody)
		e := wantError(t, err, test.code)
		if e.RetryAfter != test.want {
			t.Errorf("HTTP %d, Retry-After %q: %v, want %v", test.status, test.header, e.RetryAfter, test.want)
		}
		srv.Close()
	}
}

// bubble runs f in a synctest bubble with a pool and a signed-in user.
func bubble(t *testing.T, f func(*testing.T, *cognitotest.Server, *cognito.Authenticator, agent.AuthResult), opts ...cognitotest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := cognitotest.NewInMemory(opts...)
		t.Cleanup(srv.Close)
		srv.AddUser(cognitotest.User{Name: username, Password: password})
		a := cognito.New(cognito.Options{HTTPClient: srv.Client()})
		f(t, srv, a, signIn(t, a, environment(srv)))
	})
}

func hostOf(srv *cognitotest.Server) string { return strings.TrimPrefix(srv.URL, "http://") }

// A hanging call ends after 60 s, or with its caller.
func TestHang(t *testing.T) {
	bubble(t, func(t *testing.T, srv *cognitotest.Server, a *cognito.Authenticator, g agent.AuthResult) {
		srv.FailNext(cognitotest.APICall, -1, cognitotest.Hang())
		began := time.Now()
		_, err := a.Refresh(t.Context(), environment(srv), g.SignIn, nobody)
		wantError(t, err, agent.CodeUnavailable, "no answer from "+hostOf(srv)+" within 60 s; the agent tries again by itself")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = a.Refresh(ctx, environment(srv), g.SignIn, nobody)
		wantError(t, err, agent.CodeUnavailable, "no answer from "+hostOf(srv)+" within 3 s")

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = a.Login(ctx, environment(srv), ada(), unasked(t))
		wantError(t, err, agent.CodeUnavailable, "was cancelled")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("lost the cause: %v", err)
		}

		began = time.Now()
		err = a.Revoke(t.Context(), environment(srv), g.SignIn)
		wantError(t, err, agent.CodeUnavailable, "within 4 s")
		if time.Since(began) != 4*time.Second {
			t.Errorf("a logout waited %v", time.Since(began))
		}
	})
}

// A hanging fetch of the keys delays a refresh, but its new refresh token is stored at once.
func TestKeysHang(t *testing.T) {
	bubble(t, func(t *testing.T, srv *cognitotest.Server, _ *cognito.Authenticator, g agent.AuthResult) {
		srv.FailNext(cognitotest.JWKS, 2, cognitotest.Hang())
		a := cognito.New(cognito.Options{HTTPClient: srv.Client()})
		began := time.Now()
		kept := g.SignIn
		keep := func(s agent.SignIn) { kept = s }
		_, err := a.Refresh(t.Context(), environment(srv), kept, keep)
		wantError(t, err, agent.CodeUnavailable, "could not be verified: no answer from "+hostOf(srv)+" within 10 s")
		if time.Since(began) != 10*time.Second || kept.RefreshToken.Equal(g.SignIn.RefreshToken) {
			t.Errorf("after %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err = a.Refresh(ctx, environment(srv), kept, keep)
		wantError(t, err, agent.CodeUnavailable, "signing keys of "+hostOf(srv)+" did not arrive in time")
		srv.Release()
		synctest.Wait()
		if _, err := a.Refresh(t.Context(), environment(srv), kept, keep); err != nil {
			t.Error(err)
		}
	}, cognitotest.Rotation(0))
}

// A machine whose clock is wrong gets tokens nevertheless, and the result has the difference.
func TestClockIsWrong(t *testing.T) {
	for _, skew := range []time.Duration{10 * time.Minute, -10 * time.Minute, 25 * time.Hour, -25 * time.Hour, 90 * time.Second, 0} {
		t.Run(skew.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, srv *cognitotest.Server, a *cognito.Authenticator, g agent.AuthResult) {
				check := func(g agent.AuthResult, err error) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
					if off := (g.Skew - skew).Abs(); off > time.Second || g.Lifetime != time.Hour {
						t.Errorf("skew %v, want %v; lifetime %v", g.Skew, skew, g.Lifetime)
					}
				}
				check(g, nil)
				g, err := a.Refresh(t.Context(), environment(srv), g.SignIn, nobody)
				check(g, err)
				srv.SetLatency(cognitotest.APICall, 4*time.Second) // must not look like skew
				g, err = a.Refresh(t.Context(), environment(srv), g.SignIn, nobody)
				if err != nil || (g.Skew-skew).Abs() > 3*time.Second {
					t.Errorf("slow answer: skew %v, want %v, %v", g.Skew, skew, err)
				}
			}, cognitotest.ClockSkew(skew))
		})
	}
}

// The same with this machine's clock set by Options.Now.
func TestOptionsNow(t *testing.T) {
	srv := start(t)
	a := cognito.New(cognito.Options{Now: func() time.Time { return time.Now().Add(-10 * time.Minute) }})
	g := signIn(t, a, environment(srv))
	if (g.Skew - 10*time.Minute).Abs() > 2*time.Second {
		t.Errorf("skew %v, want 10m", g.Skew)
	}
	if (time.Since(g.SignIn.SignedInAt) - 10*time.Minute).Abs() > time.Minute {
		t.Errorf("signed in at %v, want this machine's time", g.SignIn.SignedInAt)
	}
}

// The SDK closes the body of a request as soon as there is an answer. If net/http has not seen the
// end of the body by then, it closes the connection before the answer has been read.
func TestBodyOutlivesTheAnswer(t *testing.T) {
	var body io.ReadCloser
	a := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body = r.Body
		if sent, err := io.ReadAll(io.LimitReader(body, r.ContentLength)); err != nil || !strings.Contains(string(sent), "the-refresh-token") {
			t.Errorf("sent %q, %v", sent, err)
		}
		return &http.Response{StatusCode: 502, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})}})
	_, err := a.Refresh(t.Context(), at("https://cognito.example"), stored, nobody)
	wantError(t, err, agent.CodeUnavailable)
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Errorf("the body was closed under net/http: %v", err)
	}
}
