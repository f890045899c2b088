package daemon

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
)

// token is for the token files, which are made before the agent.
func (d *daemon) token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	return d.agent.Token(ctx, req)
}
