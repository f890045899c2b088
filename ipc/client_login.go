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
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// Login implements [agent.Service].
func (c *Client) Login(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error {
	call := call{op: "login", environment: req.Environment, path: "/v1/login", limit: loginCall}
	start := map[string]string{
		"environment": req.Environment, "username": req.Username, "password": req.Password.Reveal(),
		"api_key": req.APIKey.Reveal(),
	}
	if req.For > 0 {
		start["for"] = req.For.String()
	}
	if req.RedirectURI != "" {
		start["redirect_uri"] = req.RedirectURI
	}
	return c.runConversation(ctx, call, start, ask)
}

// Recover implements [agent.Service].
func (c *Client) Recover(ctx context.Context, req agent.RecoverRequest, ask agent.Prompter) error {
	call := call{op: "recover", environment: req.Environment, path: "/v1/account", limit: loginCall}
	return c.runConversation(ctx, call, map[string]string{
		"environment": req.Environment, "action": string(req.Action),
		"username": req.Username, "password": req.Password.Reveal(),
	}, ask)
}

// runConversation starts a conversation with the fields of start that are not empty, and
// passes the agent's questions to ask until it has ended.
func (c *Client) runConversation(ctx context.Context, call call, start map[string]string, ask agent.Prompter) error {
	for name, value := range start {
		if !utf8.ValidString(value) {
			return call.errorf(agent.CodeUsage, "the %s is not UTF-8", strings.ReplaceAll(name, "_", " "))
		}
	}
	var step wire.LoginBody
	if err := c.post(ctx, call, withoutEmpty(start), "", &step); err != nil || step.State == wire.StateDone {
		return err
	}
	call.path = "/v1/login/" + url.PathEscape(step.ID)
	waiting, stop := c.wait(ctx, call)
	defer stop()
	for step.State == wire.StateChallenge && step.Challenge != nil {
		answers, err := askPerson(waiting, call, ask, *step.Challenge)
		if err != nil {
			c.cancelConversation(ctx, call)
			return err
		}
		if step, err = c.answer(ctx, call, answers); err != nil {
			return err
		}
	}
	if step.State != wire.StateDone {
		return c.errMalformed(call.op)
	}
	return nil
}

// wait waits at the agent for the end of the conversation. The context that it returns ends
// if the agent ends the conversation while a person is still being asked, because it
// expired or because they signed in elsewhere. The other way round, the agent cancels the
// conversation when this process dies. The caller calls stop when the conversation is over.
func (c *Client) wait(ctx context.Context, call call) (waiting context.Context, stop func()) {
	waiting, cancel := context.WithCancelCause(ctx)
	call.method, call.limit = http.MethodGet, waitCall
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, err := c.do(waiting, call, new(wire.LoginBody))
		if err != nil && agent.CodeOf(err) != agent.CodeUsage { // usage: an older agent does not have this call
			cancel(err)
		}
	}()
	return waiting, func() { cancel(nil); <-gone }
}

// withoutEmpty removes the empty fields, which an older agent may not know.
func withoutEmpty(fields map[string]string) map[string]string {
	maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
	return fields
}

// answer sends the person's answers and returns the next step.
func (c *Client) answer(ctx context.Context, call call, answers agent.Answers) (step wire.LoginBody, err error) {
	plain := map[string]string{}
	for name, s := range answers {
		plain[name] = s.Reveal()
	}
	err = c.post(ctx, call, map[string]any{"answers": plain}, "", &step)
	if ctx.Err() != nil {
		c.cancelConversation(ctx, call) // the answers may not have arrived
	}
	return step, err
}

// askPerson asks a person with ch. If the agent ended ctx, its reason is the error,
// whatever ask returns.
func askPerson(ctx context.Context, call call, ask agent.Prompter, ch agent.Challenge) (agent.Answers, error) {
	if ch.Environment != "" {
		call.environment = ch.Environment
	}
	if ask == nil {
		return nil, call.errorf(agent.CodeUsage, "the challenge %s needs a person to answer it", ch.Name)
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

// cancelConversation cancels a pending conversation. If it fails, the agent keeps the
// conversation until it expires.
func (c *Client) cancelConversation(ctx context.Context, call call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	call.method = http.MethodDelete
	_, _ = c.do(ctx, call, new(wire.LoginBody))
}
