package ipc

import (
	"context"
	"io"
	"net"
	"net/http"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store"
)

// Forward sends req to the API of an environment by way of the agent, which puts the
// Authorization header on; this process does not get to see the token. Of req's URL
// only the path, which begins where the environment's api_url ends, and the query
// count. An empty environment means the agent's default.
//
// The answer is the API's own, whatever its status, redirects included, and the caller
// closes its Body. What the agent has to say is an [agent.Error]. Without a deadline of
// the context's there is none: bodies may take as long as they like.
func (c *Client) Forward(req *http.Request, environment string) (*http.Response, error) {
	ctx, call := req.Context(), call{op: "api", environment: environment}
	environment, err := c.forwardTo(ctx, call)
	if err != nil {
		return nil, err
	}
	out := req.Clone(ctx)
	out.Host, out.URL.Scheme, out.URL.Host = environment, "http", environment
	out.URL.User = nil // it would be an Authorization header
	resp, err := c.forwarder().RoundTrip(out)
	if err != nil {
		return nil, c.failed(ctx, call, err)
	}
	if resp.Header.Get(headerError) == "" {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.failed(ctx, call, err)
	}
	return nil, c.read(call, resp, body, nil)
}

// forwardTo is the name of the environment that call is for.
func (c *Client) forwardTo(ctx context.Context, call call) (string, error) {
	name := call.environment
	if name == "" {
		st, err := c.Status(ctx)
		if err != nil {
			return "", err
		}
		name = st.DefaultEnvironment
	}
	if !store.ValidKey(name) { // nor a host, then
		return "", &agent.Error{
			Code: agent.CodeUnknownEnvironment, Op: call.op, Message: "unknown environment " + quoted(name),
			Hint: "see: kyc-agentd status",
		}
	}
	if name == host {
		return "", call.errorf(agent.CodeUsage, "an environment called %s cannot be reached this way: it is the agent's own host", host)
	}
	return name, nil
}

// forwarder makes one connection for one request, as roundTrip does. No token comes
// back on it, so it may be an [http.Transport].
func (c *Client) forwarder() *http.Transport {
	return &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		MaxResponseHeaderBytes: 2 * maxAnswerHead, // the agent takes that much from an API, and adds to it
		ExpectContinueTimeout:  apiTimeout,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}
