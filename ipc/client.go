package ipc

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// How long a call may take if its context has no deadline: a little longer than the agent
// may take. An agent that was suspended during a request must not block its clients.
const (
	quickCall = 10 * time.Second
	workCall  = workTimeout + 10*time.Second
	loginCall = 10 * time.Minute // Cognito has a minute for each of several answers, and a person may have to unlock a keyring
	waitCall  = time.Hour        // for a person who answers many questions
)

// A Client is an [agent.Service] at the other end of the socket. The zero Client is ready to
// use. Set the fields before the first call; calls may run at the same time.
//
// Do not keep a token: ask for one for every request, which costs well under a millisecond.
// To replace a token that an API has refused, ask for more remaining life than it has, in
// TokenRequest.MinValid. A CodeUsage means that the refused one is new.
//
// Errors are [agent.Error]s with the code, message, hint and RetryAfter of the agent:
// errors.Is(err, agent.CodeLoginRequired) means that a person has to sign in.
// CodeUnavailable is also the error if there is no agent at all.
type Client struct {
	// Socket is the agent's socket; empty means [socket.Path].
	Socket string
	// Version is the program's version, if the program is distributed with the agent: if an
	// agent of another version does not understand a request, the error says so.
	Version string
	// Dial connects to the agent; nil dials Socket, and checks that a process of this user
	// listens there before it sends anything.
	Dial func(ctx context.Context) (net.Conn, error)
}

var _ agent.Service = (*Client)(nil)

// ErrNoAnswer means that the socket took the connection, and no answer came: not in time, or not
// before the other end hung up. The cause is below it, too: context.DeadlineExceeded or io.EOF.
var ErrNoAnswer = errors.New("no answer")

func (c *Client) socket() string {
	if c.Socket != "" {
		return c.Socket
	}
	return socket.Path(os.Getenv)
}

// Token implements [agent.Service].
func (c *Client) Token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	call := call{op: "token", environment: req.Environment, method: http.MethodGet, path: tokenPath(req, "json"), limit: quickCall}
	body := wire.TokenBody{ExpiresAt: "missing"}
	header, err := c.do(ctx, call, &body)
	if err != nil {
		return agent.Token{}, err
	}
	expires, err := expiryOf(body)
	t := agent.Token{
		Environment: sanitize.OneLine(body.Environment), IDToken: agent.NewSecret(body.Token), ExpiresAt: expires, APIURL: sanitize.OneLine(body.APIURL),
		User: sanitize.OneLine(body.User), Subject: sanitize.OneLine(body.Subject), AccessToken: agent.NewSecret(body.AccessToken),
		Warning: sanitize.OneLine(header.Get(wire.HeaderWarning)),
	}
	if err != nil || wire.CheckToken(t) != nil || req.Type == agent.TypeAccess && body.AccessToken == "" {
		return agent.Token{}, c.errMalformed("token")
	}
	return t, nil
}

// Claims returns the claims of the token that req asks for, and not the token. The agent has
// verified them. An API key has none: the code is CodeUsage.
func (c *Client) Claims(ctx context.Context, req agent.TokenRequest) (map[string]json.RawMessage, error) {
	var claims map[string]json.RawMessage
	_, err := c.do(ctx, call{op: "claims", environment: req.Environment, method: http.MethodGet, path: tokenPath(req, "claims"), limit: quickCall}, &claims)
	if err == nil && claims == nil {
		err = c.errMalformed("claims")
	}
	return claims, err
}

func tokenPath(req agent.TokenRequest, format string) string {
	q := url.Values{"format": {format}}
	if req.Environment != "" {
		q.Set("env", req.Environment)
	}
	if req.MinValid != 0 {
		q.Set("min_valid", req.MinValid.String())
	}
	if req.Type != agent.TypeID {
		q.Set("type", string(req.Type))
	}
	if req.User != "" {
		q.Set("user", req.User)
	}
	return "/v1/token?" + q.Encode()
}

// expiryOf returns the zero time for a token that does not expire.
func expiryOf(b wire.TokenBody) (time.Time, error) {
	if b.ExpiresAt == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, b.ExpiresAt)
}

// Logout implements [agent.Service].
func (c *Client) Logout(ctx context.Context, req agent.LogoutRequest) error {
	return c.post(ctx, call{op: "logout", environment: req.Environment, path: "/v1/logout", limit: workCall},
		withoutEmpty(map[string]string{"environment": req.Environment, "scope": string(req.Scope)}), wire.StateDone, new(wire.LoginBody))
}

// Reload makes the agent reload its configuration, and returns when that is done. If the
// new configuration cannot be used, that is the error, and the agent keeps the old one.
func (c *Client) Reload(ctx context.Context) error {
	return c.ReloadWith(ctx, agent.Secret{}, "")
}

// ReloadWith is Reload with the passphrase, without which an agent that has one takes no
// configuration that takes a protection away: that error is [agent.CodeApprovalRequired], and its
// message says which. shown is the message of that error, which the person has read: if another
// one is due by now, nothing is reloaded.
func (c *Client) ReloadWith(ctx context.Context, passphrase agent.Secret, shown string) error {
	body := withoutEmpty(map[string]string{"passphrase": passphrase.Reveal(), "shown": shown})
	return c.post(ctx, call{op: "reload", path: "/v1/reload", limit: workCall}, body, wire.StateDone, new(wire.LoginBody))
}

// Restart makes the agent's installed program take over. It returns before that happens: then
// Images of the Status grows, or ImageError says why not.
func (c *Client) Restart(ctx context.Context) error {
	return c.post(ctx, call{op: "restart", path: "/v1/restart", limit: workCall}, struct{}{}, wire.StateDone, new(wire.LoginBody))
}

// Lock locks all sign-ins with the passphrase; see [Daemon]. The agent's next image, which has
// none of them in memory, takes over after that.
func (c *Client) Lock(ctx context.Context, least time.Duration) error {
	body := map[string]string{}
	if least > 0 {
		body["for"] = least.String()
	}
	return c.post(ctx, call{op: "lock", path: "/v1/lock", limit: workCall}, body, wire.StateDone, new(wire.LoginBody))
}

// Unlock unlocks them. It may wait up to a minute if there were wrong tries.
func (c *Client) Unlock(ctx context.Context, passphrase agent.Secret) error {
	body := map[string]string{"passphrase": passphrase.Reveal()}
	return c.post(ctx, call{op: "unlock", path: "/v1/unlock", limit: workCall}, body, wire.StateDone, new(wire.LoginBody))
}

// SetPassphrase sets the passphrase. old is the one that there is, or empty.
func (c *Client) SetPassphrase(ctx context.Context, old, next agent.Secret) error {
	body := map[string]string{"passphrase": next.Reveal()}
	if !old.IsZero() {
		body["old"] = old.Reveal()
	}
	return c.post(ctx, call{op: "passphrase", path: "/v1/passphrase", limit: workCall}, body, wire.StateDone, new(wire.LoginBody))
}

// post sends in as JSON and reads the answer into out. If state is not empty, the answer
// must have that state.
func (c *Client) post(ctx context.Context, call call, in any, state string, out *wire.LoginBody) error {
	body, err := json.Marshal(in)
	if err != nil {
		return call.wrap(err)
	}
	call.method, call.body = http.MethodPost, body
	if _, err := c.do(ctx, call, out); err != nil {
		return err
	}
	if state != "" && out.State != state {
		return c.errMalformed(call.op)
	}
	return nil
}
