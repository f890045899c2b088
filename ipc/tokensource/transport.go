package tokensource

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/discard"
	"github.com/legaltalent/kyc-agent/internal/origin"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy/pace"
)

// A Transport is an [http.RoundTripper] that adds an ID token to requests to the
// environment's API. It refuses all other requests, also those of a redirect, before
// anything is sent. After a 401 it sends a request once more, with a newer token, if the
// request has no body, or has GetBody, which [http.NewRequest] sets for the usual readers. After
// a 429 it does the same, once and after the time that the API asks for: see MaxWait.
//
// Set the fields before the first call; calls may run at the same time.
type Transport struct {
	Source
	// Base makes the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
	// MaxWait is the longest time to wait after a 429; 0 means 30 seconds, less than 0 never
	// waits. A 429 that asks for more, or for more than the request's deadline leaves, is the
	// answer at once.
	MaxWait time.Duration
}

// defaultMaxWait is MaxWait if that is 0.
const defaultMaxWait = 30 * time.Second

var _ http.RoundTripper = (*Transport)(nil)

// RoundTrip implements [http.RoundTripper]. If there is no token, the error is an
// [agent.Error] and no request was sent: CodeDenied means that the URL is not the API's.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := t.token(req.Context(), 0)
	if err == nil {
		err = checkHost(req, token)
	}
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := t.send(req, req.Body, token)
	repeated := map[int]bool{}
	for err == nil && isReplayable(req) && !repeated[resp.StatusCode] {
		status, ok := resp.StatusCode, false
		switch status {
		case http.StatusUnauthorized:
			token, ok = t.newer(req, token)
		case http.StatusTooManyRequests:
			token, ok = t.later(req, resp, token)
		}
		if !ok {
			break
		}
		repeated[status] = true
		if resp, err = t.again(req, resp, token); err != nil {
			return nil, err
		}
	}
	return resp, err
}

func isReplayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// newer returns a token that is newer than old, which the API answered with a 401. Without one
// the 401 is the answer: it says more than the reason why there is no newer token.
func (t *Transport) newer(req *http.Request, old agent.Token) (agent.Token, bool) {
	if old.ExpiresAt.IsZero() { // there is never a newer API key
		return old, false
	}
	token, err := t.token(req.Context(), max(0, left(old, time.Now()))+time.Second)
	if errors.Is(err, agent.CodeUnavailable) { // a newer one may be there, and have less life than was asked for
		token, err = t.token(req.Context(), 0)
	}
	if err != nil || token.IDToken.Equal(old.IDToken) || checkHost(req, token) != nil {
		return old, false
	}
	return token, true
}

// later returns a token after the time that a 429 asks for. Without one, or if the time is too
// long, the 429 is the answer.
func (t *Transport) later(req *http.Request, resp *http.Response, old agent.Token) (agent.Token, bool) {
	wait := pace.RetryAfter(resp)
	deadline, bounded := req.Context().Deadline()
	if wait <= 0 || wait > cmp.Or(t.MaxWait, defaultMaxWait) || bounded && time.Until(deadline) < wait {
		return old, false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
		return old, false
	}
	token, err := t.token(req.Context(), 0)
	return token, err == nil && checkHost(req, token) == nil
}

// again sends a request that was answered by resp once more.
func (t *Transport) again(req *http.Request, resp *http.Response, token agent.Token) (*http.Response, error) {
	body := req.Body
	if req.GetBody != nil {
		var err error
		if body, err = req.GetBody(); err != nil {
			return resp, nil
		}
	}
	discard.Body(resp.Body)
	return t.send(req, body, token)
}

// send sends a copy of req: a RoundTripper must not change its argument.
func (t *Transport) send(req *http.Request, body io.ReadCloser, token agent.Token) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.Body = body
	out.Header.Set("Authorization", "Bearer "+token.IDToken.Reveal())
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(out)
}

// checkHost refuses a request that is not for the API that the token belongs to. It checks
// the Host header too: there may be many hosts at one address.
func checkHost(req *http.Request, token agent.Token) error {
	api, err := origin.Parse(token.APIURL)
	for _, host := range []string{req.URL.Host, cmp.Or(req.Host, req.URL.Host)} {
		to, bad := origin.Parse(origin.HostURL(strings.ToLower(req.URL.Scheme), host))
		if err != nil || bad != nil || to != api {
			return &agent.Error{
				Code: agent.CodeDenied, Op: "token", Environment: token.Environment,
				Message: fmt.Sprintf("%s://%s is not %s: no token for it", req.URL.Scheme, host, token.APIURL),
			}
		}
	}
	return nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
