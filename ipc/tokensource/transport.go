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
)

// A Transport is an [http.RoundTripper] that adds an ID token to requests to the
// environment's API. It refuses all other requests, also those of a redirect, before
// anything is sent. After a 401 it sends a request once more, with a newer token, if the
// request has no body, or has GetBody, which [http.NewRequest] sets for the usual readers.
//
// Set the fields before the first call; calls may run at the same time.
type Transport struct {
	Source
	// Base makes the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
}

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
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return t.retry(req, resp, token)
}

// retry sends a request that got a 401 again with a newer token, or returns the 401.
func (t *Transport) retry(req *http.Request, resp *http.Response, old agent.Token) (*http.Response, error) {
	replayable := req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
	if !replayable || old.ExpiresAt.IsZero() { // there is never a newer API key
		return resp, nil
	}
	token, err := t.token(req.Context(), max(0, left(old, time.Now()))+time.Second)
	if errors.Is(err, agent.CodeUnavailable) { // a newer one may be there, and have less life than was asked for
		token, err = t.token(req.Context(), 0)
	}
	if err != nil || token.IDToken.Equal(old.IDToken) || checkHost(req, token) != nil {
		return resp, nil // the 401 says more than the reason why there is no newer token
	}
	body := req.Body
	if req.GetBody != nil {
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
