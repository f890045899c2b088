package ipc

import (
	"context"
	"io"
	"net"
	"net/http"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/store"
)

// Forward sends req to the API of an environment through the agent, which adds the
// Authorization header; this process never has the token. Only the path and the query of
// req's URL are used; the path begins where the environment's api_url ends. An empty
// environment means the agent's default.
//
// The answer is the API's own, whatever its status, redirects included, and the caller
// closes its Body. An error of the agent is an [agent.Error]. If the context has no
// deadline, bodies may take any time.
func (c *Client) Forward(req *http.Request, environment string) (*http.Response, error) {
	ctx, call := req.Context(), call{op: "api", environment: environment}
	environment, err := c.environmentHost(ctx, call)
	if err != nil {
		return nil, err
	}
	out := req.Clone(ctx)
	out.Host, out.URL.Scheme, out.URL.Host = environment, "http", environment
	out.URL.User = nil // it would become an Authorization header
	resp, err := c.forwardTransport().RoundTrip(out)
	if err != nil {
		return nil, c.transportError(ctx, call, err)
	}
	if resp.Header.Get(wire.HeaderError) == "" {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.transportError(ctx, call, err)
	}
	return nil, c.read(call, resp, body, nil)
}

// Relay returns what forwards the requests of a server to APIs through the agent, as Forward
// does for one. The host of a request names the environment. policy decides here, before the
// agent hears of a request; nil allows everything. serving ends when the server cuts requests
// off, and onPanic returns the error for a panic.
func (c *Client) Relay(serving context.Context, policy *agent.Policy, onPanic func(v any) error) *apiproxy.Proxy {
	return &apiproxy.Proxy{Policy: policy, Transport: c.relayTransport(), Serving: serving, OnPanic: onPanic}
}

// relayTransport is forwardTransport for bodies that may stop arriving in the middle. It waits
// for the agent to begin its answer as long as the agent waits.
func (c *Client) relayTransport() *http.Transport {
	t := apiproxy.NewTransport(func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) })
	t.Proxy = nil // HTTP_PROXY is about networks
	t.ResponseHeaderTimeout = 0
	t.MaxResponseHeaderBytes = 2 * maxAnswerHead
	t.ExpectContinueTimeout = apiproxy.ResponseTimeout
	t.DisableKeepAlives = true
	return t
}

// environmentHost returns the environment that call is for, as a host.
func (c *Client) environmentHost(ctx context.Context, call call) (string, error) {
	name := call.environment
	if name == "" {
		st, err := c.Status(ctx)
		if err != nil {
			return "", err
		}
		name = st.DefaultEnvironment
	}
	if !store.ValidKey(name) { // and so not a host
		return "", &agent.Error{
			Code: agent.CodeUnknownEnvironment, Op: call.op, Message: "unknown environment " + wire.Quote(name),
			Hint: "see: kyc-agentd status",
		}
	}
	if name == wire.Host {
		return "", call.errorf(agent.CodeUsage, "an environment called %s cannot be reached this way: it is the agent's own host", wire.Host)
	}
	return name, nil
}

// forwardTransport makes one connection for one request, as roundTrip does. No token is in
// an answer, so it may be an [http.Transport].
func (c *Client) forwardTransport() *http.Transport {
	return &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		MaxResponseHeaderBytes: 2 * maxAnswerHead, // the agent accepts this much from an API, and adds to it
		ExpectContinueTimeout:  apiproxy.ResponseTimeout,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}
