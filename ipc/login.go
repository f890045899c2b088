package ipc

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
)

func (a *api) login(x *exchange) (reply, error) {
	var environment, username, password string
	err := fields{"environment": &environment, "username": &username, "password": &password}.decode(x.body)
	if err != nil {
		return reply{}, err
	}
	l, err := a.desk.begin(agent.LoginRequest{
		Environment: environment, Username: username, Password: agent.NewSecret(password),
	})
	if err != nil {
		return reply{}, err
	}
	return l.reply(x.Context())
}

func (a *api) answer(x *exchange) (reply, error) {
	var answers agent.Answers
	if err := (fields{"answers": &answers}).decode(x.body); err != nil {
		return reply{}, err
	}
	if answers == nil {
		return reply{}, usage("field \"answers\" of the body is missing")
	}
	l, err := a.desk.answer(x.id, answers)
	if err != nil {
		return reply{}, err
	}
	return l.reply(x.Context())
}

func (a *api) giveUp(x *exchange) (reply, error) {
	l, err := a.desk.giveUp(x.id)
	if err != nil {
		return reply{}, err
	}
	select {
	case <-l.done:
	case <-x.Context().Done():
	}
	return jsonReply(loginBody{State: stateCancelled}), nil
}

func (l *login) reply(ctx context.Context) (reply, error) {
	body, err := l.next(ctx)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(body), nil
}
