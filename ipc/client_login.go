package ipc

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent"
)

// Login implements [agent.Service].
func (c *Client) Login(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error {
	call := call{op: "login", environment: req.Environment, path: "/v1/login", limit: loginCall}
	return c.converse(ctx, call, map[string]string{
		"environment": req.Environment, "username": req.Username, "password": req.Password.Reveal(),
		"api_key": req.APIKey.Reveal(),
	}, ask)
}

// Recover implements [agent.Service].
func (c *Client) Recover(ctx context.Context, req agent.RecoverRequest, ask agent.Prompter) error {
	call := call{op: "recover", environment: req.Environment, path: "/v1/account", limit: loginCall}
	return c.converse(ctx, call, map[string]string{
		"environment": req.Environment, "action": string(req.Action),
		"username": req.Username, "password": req.Password.Reveal(),
	}, ask)
}

// converse starts a conversation with the fields of start that are not empty, and
// puts the agent's questions to ask until it is over.
func (c *Client) converse(ctx context.Context, call call, start map[string]string, ask agent.Prompter) error {
	for name, value := range start {
		if !utf8.ValidString(value) {
			return call.errorf(agent.CodeUsage, "the %s is not UTF-8", strings.ReplaceAll(name, "_", " "))
		}
	}
	var step loginBody
	if err := c.post(ctx, call, filled(start), "", &step); err != nil || step.State == stateDone {
		return err
	}
	call.path = "/v1/login/" + url.PathEscape(step.ID)
	watched, stop := c.watch(ctx, call)
	defer stop()
	for step.State == stateChallenge && step.Challenge != nil {
		answers, err := askPerson(watched, call, ask, *step.Challenge)
		if err != nil {
			c.giveUp(ctx, call)
			return err
		}
		if step, err = c.answer(ctx, call, answers); err != nil {
			return err
		}
	}
	if step.State != stateDone {
		return c.garbled(call.op)
	}
	return nil
}

// watch waits at the agent for the end of the conversation. The context it returns
// ends when the agent ends it while a person is still asked: it expired, say, or they
// signed in elsewhere. The other way round, the agent gives the conversation up when
// this process dies. stop is for when the conversation is over.
func (c *Client) watch(ctx context.Context, call call) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	call.method, call.limit = http.MethodGet, watchCall
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, err := c.do(watched, call, new(loginBody))
		if err != nil && agent.CodeOf(err) != agent.CodeUsage { // usage: an older agent cannot tell
			cancel(err)
		}
	}()
	return watched, func() { cancel(nil); <-gone }
}

// filled leaves the empty fields out, which an agent of an older version may not know.
func filled(fields map[string]string) map[string]string {
	maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
	return fields
}

// answer sends what the person said and returns what comes of it.
func (c *Client) answer(ctx context.Context, call call, answers agent.Answers) (step loginBody, err error) {
	plain := map[string]string{}
	for name, s := range answers {
		plain[name] = s.Reveal()
	}
	err = c.post(ctx, call, map[string]any{"answers": plain}, "", &step)
	if ctx.Err() != nil {
		c.giveUp(ctx, call) // the answer may not have got there
	}
	return step, err
}

// askPerson puts ch to a person. When ctx ended for a reason of the agent's, that is
// the error, whatever ask makes of it.
func askPerson(ctx context.Context, call call, ask agent.Prompter, ch agent.Challenge) (agent.Answers, error) {
	if ch.Environment != "" {
		call.environment = ch.Environment
	}
	if ask == nil {
		return nil, call.errorf(agent.CodeUsage, "the challenge %s needs somebody to answer it", ch.Name)
	}
	answers, err := ask(ctx, ch)
	if ended, ok := errors.AsType[*agent.Error](context.Cause(ctx)); ok {
		return nil, call.wrap(ended)
	}
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
	_, _ = c.do(ctx, call, new(loginBody))
}
