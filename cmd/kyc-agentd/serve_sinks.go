package main

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/sink"
)

// token is for the token files, which are there before the agent is.
func (d *daemon) token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	return d.agent.Token(ctx, req)
}

// service is the agent with the token files, of which it does not know.
type service struct {
	*agent.Agent
	sinks *sink.Manager
}

func (s service) Status(ctx context.Context) (agent.Status, error) {
	st, err := s.Agent.Status(ctx)
	st.Sinks = s.sinks.Status()
	return st, err
}
