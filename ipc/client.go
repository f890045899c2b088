package ipc

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent"
)

// How long a call may take when its context has no deadline: a little longer than
// the agent takes at worst. An agent that was stopped in mid-request must not stop
// its clients with it.
const (
	quickCall = 10 * time.Second
	tokenCall = 70 * time.Second
	loginCall = 5 * time.Minute // a person may have to unlock a keyring
)

// A Client is an [agent.Service] at the other end of the socket. The zero Client is
// ready to use. Set the fields before the first call; calls may run at the same time.
//
// Errors are [agent.Error]s with the code, words, hint and RetryAfter that the
// agent gave them. CodeUnavailable is also what no agent at all looks like.
type Client struct {
	// Socket is the agent's socket; empty means [SocketPath].
	Socket string
	// Dial connects to it; nil dials Socket, and makes sure that it is answered by
	// this user's processes before anything is sent.
	Dial func(ctx context.Context) (net.Conn, error)
}

var _ agent.Service = (*Client)(nil)

func (c *Client) socket() string {
	if c.Socket != "" {
		return c.Socket
	}
	return SocketPath(os.Getenv)
}

// Token implements [agent.Service].
func (c *Client) Token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	q := url.Values{"format": {"json"}}
	if req.Environment != "" {
		q.Set("env", req.Environment)
	}
	if req.MinValid != 0 {
		q.Set("min_valid", req.MinValid.String())
	}
	call := call{op: "token", environment: req.Environment, method: http.MethodGet, path: "/v1/token?" + q.Encode(), limit: tokenCall}
	var body tokenBody
	if err := c.do(ctx, call, &body); err != nil {
		return agent.Token{}, err
	}
	expires, err := time.Parse(time.RFC3339, body.ExpiresAt)
	if err != nil || body.Token == "" {
		return agent.Token{}, c.garbled("token")
	}
	return agent.Token{
		Environment: body.Environment, IDToken: agent.NewSecret(body.Token), ExpiresAt: expires, APIURL: body.APIURL,
	}, nil
}

// Status implements [agent.Service].
func (c *Client) Status(ctx context.Context) (agent.Status, error) {
	var st agent.Status
	err := c.do(ctx, call{op: "status", method: http.MethodGet, path: "/v1/status", limit: quickCall}, &st)
	if err == nil && st.Environments == nil { // the agent always sends the list
		return agent.Status{}, c.garbled("status")
	}
	return st, err
}

// Logout implements [agent.Service].
func (c *Client) Logout(ctx context.Context, environment string) error {
	return c.post(ctx, call{op: "logout", environment: environment, path: "/v1/logout", limit: tokenCall},
		map[string]string{"environment": environment}, stateDone, new(loginBody))
}

// Reload makes the agent read its configuration again; it returns when that is
// done. A configuration that cannot be used is an error, and the agent keeps the
// one it has.
func (c *Client) Reload(ctx context.Context) error {
	return c.post(ctx, call{op: "reload", path: "/v1/reload", limit: tokenCall}, struct{}{}, stateDone, new(loginBody))
}

// Login implements [agent.Service].
func (c *Client) Login(ctx context.Context, req agent.LoginRequest, ask agent.Asker) error {
	call := call{op: "login", environment: req.Environment, path: "/v1/login", limit: loginCall}
	if !utf8.ValidString(req.Username) || !utf8.ValidString(req.Password.Reveal()) {
		return call.errorf(agent.CodeUsage, "the user name or the password is not UTF-8")
	}
	var step loginBody
	err := c.post(ctx, call, map[string]string{
		"environment": req.Environment, "username": req.Username, "password": req.Password.Reveal(),
	}, "", &step)
	for err == nil && step.State == stateChallenge {
		call.path = "/v1/login/" + url.PathEscape(step.ID)
		if step.Challenge == nil {
			return c.garbled("login")
		}
		err = c.answer(ctx, call, &step, ask)
	}
	if err == nil && step.State != stateDone {
		return c.garbled("login")
	}
	return err
}

// answer puts the challenge in step to a person, sends what they say, and sets step
// to what comes of it.
func (c *Client) answer(ctx context.Context, call call, step *loginBody, ask agent.Asker) error {
	answers, err := askPerson(ctx, call, ask, *step.Challenge)
	if err != nil {
		c.giveUp(ctx, call)
		return err
	}
	plain := map[string]string{}
	for name, s := range answers {
		plain[name] = s.Reveal()
	}
	*step = loginBody{}
	err = c.post(ctx, call, map[string]any{"answers": plain}, "", step)
	if ctx.Err() != nil {
		c.giveUp(ctx, call) // the answer may not have got there
	}
	return err
}

func askPerson(ctx context.Context, call call, ask agent.Asker, ch agent.Challenge) (agent.Answers, error) {
	if ch.Environment != "" {
		call.environment = ch.Environment
	}
	if ask == nil {
		return nil, call.errorf(agent.CodeUsage, "the challenge %s needs somebody to answer it", ch.Name)
	}
	answers, err := ask(ctx, ch)
	if err != nil {
		return nil, call.wrap(err)
	}
	for name, s := range answers {
		if !utf8.ValidString(s.Reveal()) {
			return nil, call.errorf(agent.CodeUsage, "the answer to %s is not UTF-8", name)
		}
	}
	return answers, nil
}

// giveUp cancels a pending sign-in, best effort: without it the agent would keep
// it until it expires.
func (c *Client) giveUp(ctx context.Context, call call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	call.method = http.MethodDelete
	_ = c.do(ctx, call, new(loginBody))
}

// post sends in as JSON and checks that the answer in out has the state wanted, if any.
func (c *Client) post(ctx context.Context, call call, in any, state string, out *loginBody) error {
	body, err := json.Marshal(in)
	if err != nil {
		return call.wrap(err)
	}
	call.method, call.body = http.MethodPost, body
	if err := c.do(ctx, call, out); err != nil {
		return err
	}
	if state != "" && out.State != state {
		return c.garbled(call.op)
	}
	return nil
}
