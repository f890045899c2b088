package ipc

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// How long a call may take when its context has no deadline: a little longer than
// the agent takes at worst. An agent that was stopped in mid-request must not stop
// its clients with it.
const (
	quickCall = 10 * time.Second
	workCall  = 70 * time.Second
	loginCall = 5 * time.Minute // a person may have to unlock a keyring
	watchCall = time.Hour       // of many questions
)

// A Client is an [agent.Service] at the other end of the socket. The zero Client is
// ready to use. Set the fields before the first call; calls may run at the same time.
//
// A token is not to be kept: ask for every request, which costs well under a
// millisecond, and there is nothing to refresh. One that an API has refused is
// replaced by asking for more life than it has left, in TokenRequest.MinValid; where
// there is no newer one that is a CodeUsage.
//
// Errors are [agent.Error]s with the code, words, hint and RetryAfter that the
// agent gave them: errors.Is(err, agent.CodeLoginRequired) is a person's turn.
// CodeUnavailable is also what no agent at all looks like.
type Client struct {
	// Socket is the agent's socket; empty means [socket.Path].
	Socket string
	// Version is the program's own, where it comes with the agent: when the agent is of
	// another and does not understand it, the error says so. Empty says nothing.
	Version string
	// Dial connects to it; nil dials Socket, and makes sure that it is answered by
	// this user's processes before anything is sent.
	Dial func(ctx context.Context) (net.Conn, error)
}

var _ agent.Service = (*Client)(nil)

func (c *Client) socket() string {
	if c.Socket != "" {
		return c.Socket
	}
	return socket.Path(os.Getenv)
}

// Token implements [agent.Service].
func (c *Client) Token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	call := call{op: "token", environment: req.Environment, method: http.MethodGet, path: tokenPath(req, "json"), limit: quickCall}
	body := tokenBody{ExpiresAt: "missing"}
	header, err := c.do(ctx, call, &body)
	if err != nil {
		return agent.Token{}, err
	}
	expires, err := body.expiry()
	if err != nil || body.Token == "" {
		return agent.Token{}, c.garbled("token")
	}
	return agent.Token{
		Environment: body.Environment, IDToken: agent.NewSecret(body.Token), ExpiresAt: expires, APIURL: body.APIURL,
		Warning: sanitize.OneLine(header.Get(headerWarning)),
	}, nil
}

func tokenPath(req agent.TokenRequest, format string) string {
	q := url.Values{"format": {format}}
	if req.Environment != "" {
		q.Set("env", req.Environment)
	}
	if req.MinValid != 0 {
		q.Set("min_valid", req.MinValid.String())
	}
	return "/v1/token?" + q.Encode()
}

// expiry is the zero time for a token without end.
func (b tokenBody) expiry() (time.Time, error) {
	if b.ExpiresAt == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, b.ExpiresAt)
}

// Status implements [agent.Service].
func (c *Client) Status(ctx context.Context) (agent.Status, error) {
	var st agent.Status
	_, err := c.do(ctx, call{op: "status", method: http.MethodGet, path: "/v1/status", limit: quickCall}, &st)
	if err == nil && st.Environments == nil { // the agent always sends the list
		return agent.Status{}, c.garbled("status")
	}
	return st, err
}

// Logout implements [agent.Service].
func (c *Client) Logout(ctx context.Context, req agent.LogoutRequest) error {
	return c.post(ctx, call{op: "logout", environment: req.Environment, path: "/v1/logout", limit: workCall},
		filled(map[string]string{"environment": req.Environment, "scope": string(req.Scope)}), stateDone, new(loginBody))
}

// Reload makes the agent read its configuration again; it returns when that is
// done. A configuration that cannot be used is an error, and the agent keeps the
// one it has.
func (c *Client) Reload(ctx context.Context) error {
	return c.post(ctx, call{op: "reload", path: "/v1/reload", limit: workCall}, struct{}{}, stateDone, new(loginBody))
}

// post sends in as JSON and checks that the answer in out has the state wanted, if any.
func (c *Client) post(ctx context.Context, call call, in any, state string, out *loginBody) error {
	body, err := json.Marshal(in)
	if err != nil {
		return call.wrap(err)
	}
	call.method, call.body = http.MethodPost, body
	if _, err := c.do(ctx, call, out); err != nil {
		return err
	}
	if state != "" && out.State != state {
		return c.garbled(call.op)
	}
	return nil
}
