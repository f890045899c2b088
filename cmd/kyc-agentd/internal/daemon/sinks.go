package daemon

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/sink"
)

// token is for the token files, which are made before the agent.
func (d *daemon) token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	return d.agent.Token(ctx, req)
}

// service adds the token files to the status of the agent, which does not know them.
type service struct {
	*agent.Agent
	sinks *sink.Manager
}

func (s service) Status(ctx context.Context) (agent.Status, error) {
	st, err := s.Agent.Status(ctx)
	st.Sinks = s.sinks.Status()
	return st, err
}
