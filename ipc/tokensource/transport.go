package tokensource

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

// A Transport is an [http.RoundTripper] that puts an ID token on requests to the
// environment's API and refuses all others, a redirect's among them, before anything
// is sent. A 401 is answered once, with a newer token, where the request can be sent
// again: one without a body, or with GetBody, which [http.NewRequest] sets for the
// usual kinds of reader.
//
// Set the fields before the first call; calls may run at the same time.
type Transport struct {
	Source
	// Base makes the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
}

var _ http.RoundTripper = (*Transport)(nil)

// RoundTrip implements [http.RoundTripper]. The error is an [agent.Error] when there is
// no token, and then no request was made: CodeDenied where the URL is not the API's.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := t.token(req.Context(), 0)
	if err == nil {
		err = permit(req, token)
	}
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := t.send(req, req.Body, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return t.again(req, resp, token)
}

// again answers a 401 with a newer token, or leaves it as it is.
func (t *Transport) again(req *http.Request, resp *http.Response, old agent.Token) (*http.Response, error) {
	replayable := req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
	if !replayable || old.ExpiresAt.IsZero() { // an API key: there is no newer one
		return resp, nil
	}
	token, err := t.token(req.Context(), max(0, left(old, time.Now()))+time.Second)
	if err != nil || token.IDToken.Equal(old.IDToken) || permit(req, token) != nil {
		return resp, nil // the 401 says more than why there is nothing newer
	}
	body := req.Body
	if req.GetBody != nil {
		if body, err = req.GetBody(); err != nil {
			return resp, nil
		}
	}
	// Read to the end, so that the connection can be used again, unless it is long.
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
	return t.send(req, body, token)
}

// send sends a copy of req: a RoundTripper must not change what it is given.
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

// permit refuses a request that is not for the API the token is of. The Host header
// counts too: behind one address there may be many hosts.
func permit(req *http.Request, token agent.Token) error {
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
