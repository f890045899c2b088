package ipc

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
)

func (a *api) login(x *exchange) (reply, error) {
	var environment, username, password, apiKey string
	err := fields{
		"environment": &environment, "username": &username, "password": &password, "api_key": &apiKey,
	}.decode(x.body)
	if err != nil {
		return reply{}, err
	}
	req := agent.LoginRequest{
		Environment: environment, Username: username,
		Password: agent.NewSecret(password), APIKey: agent.NewSecret(apiKey),
	}
	return a.converse(x, aboutLogin, func(ctx context.Context, ask agent.Prompter) error {
		return a.service.Login(ctx, req, ask)
	})
}

func (a *api) account(x *exchange) (reply, error) {
	var environment, action, username, password string
	err := fields{
		"environment": &environment, "action": &action, "username": &username, "password": &password,
	}.decode(x.body)
	if err != nil {
		return reply{}, err
	}
	req := agent.RecoverRequest{
		Environment: environment, Action: agent.RecoverAction(action),
		Username: username, Password: agent.NewSecret(password),
	}
	return a.converse(x, aboutRecover(req.Action), func(ctx context.Context, ask agent.Prompter) error {
		return a.service.Recover(ctx, req, ask)
	})
}

// converse starts a conversation and answers with its first step.
func (a *api) converse(x *exchange, about matter, call serviceCall) (reply, error) {
	c, err := a.desk.begin(about, call)
	if err != nil {
		return reply{}, err
	}
	return c.reply(x.Context())
}

func (a *api) answer(x *exchange) (reply, error) {
	var answers agent.Answers
	if err := (fields{"answers": &answers}).decode(x.body); err != nil {
		return reply{}, err
	}
	if answers == nil {
		return reply{}, usage("field \"answers\" of the body is missing")
	}
	c, err := a.desk.answer(x.id, answers)
	if err != nil {
		return reply{}, err
	}
	return c.reply(x.Context())
}

// watch waits for the end. Whoever hangs up on it has died, or their terminal has.
func (a *api) watch(x *exchange) (reply, error) {
	c, err := a.desk.find(x.id)
	if err != nil {
		return reply{}, err
	}
	select {
	case <-c.done:
		if c.err != nil {
			return reply{}, c.err
		}
		return jsonReply(loginBody{State: stateDone}), nil
	case <-x.Context().Done():
		return reply{}, c.abandon()
	}
}

func (a *api) giveUp(x *exchange) (reply, error) {
	c, err := a.desk.giveUp(x.id)
	if err != nil {
		return reply{}, err
	}
	select {
	case <-c.done:
	case <-x.Context().Done():
	}
	return jsonReply(loginBody{State: stateCancelled}), nil
}

func (c *conversation) reply(ctx context.Context) (reply, error) {
	body, err := c.next(ctx)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(body), nil
}
