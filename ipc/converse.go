package ipc

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent"
)

// Login implements [agent.Service].
func (c *Client) Login(ctx context.Context, req agent.LoginRequest, ask agent.Asker) error {
	call := call{op: "login", environment: req.Environment, path: "/v1/login", limit: loginCall}
	return c.converse(ctx, call, map[string]string{
		"environment": req.Environment, "username": req.Username, "password": req.Password.Reveal(),
		"api_key": req.APIKey.Reveal(),
	}, ask)
}

// Recover implements [agent.Service].
func (c *Client) Recover(ctx context.Context, req agent.RecoverRequest, ask agent.Asker) error {
	call := call{op: "recover", environment: req.Environment, path: "/v1/account", limit: loginCall}
	return c.converse(ctx, call, map[string]string{
		"environment": req.Environment, "action": string(req.Action),
		"username": req.Username, "password": req.Password.Reveal(),
	}, ask)
}

// converse starts a conversation with the fields of start that are not empty, and
// puts the agent's questions to ask until it is over.
func (c *Client) converse(ctx context.Context, call call, start map[string]string, ask agent.Asker) error {
	for name, value := range start {
		if !utf8.ValidString(value) {
			return call.errorf(agent.CodeUsage, "the %s is not UTF-8", strings.ReplaceAll(name, "_", " "))
		}
	}
	maps.DeleteFunc(start, func(_, value string) bool { return value == "" })
	var step loginBody
	err := c.post(ctx, call, start, "", &step)
	for err == nil && step.State == stateChallenge {
		call.path = "/v1/login/" + url.PathEscape(step.ID)
		if step.Challenge == nil {
			return c.garbled(call.op)
		}
		err = c.answer(ctx, call, &step, ask)
	}
	if err == nil && step.State != stateDone {
		return c.garbled(call.op)
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

// giveUp cancels a pending conversation, best effort: without it the agent would keep
// it until it expires.
func (c *Client) giveUp(ctx context.Context, call call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	call.method = http.MethodDelete
	_ = c.do(ctx, call, new(loginBody))
}
