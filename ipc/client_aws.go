package ipc

import (
	"context"
	"net/http"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// AWSCredentials implements [agent.Service].
func (c *Client) AWSCredentials(ctx context.Context, req agent.TokenRequest) (agent.AWSCredentials, error) {
	call := call{op: "aws", environment: req.Environment, method: http.MethodGet, path: tokenPath(req, "aws"), limit: quickCall}
	var body wire.AWSBody
	header, err := c.do(ctx, call, &body)
	if err != nil {
		return agent.AWSCredentials{}, err
	}
	expires, err := time.Parse(time.RFC3339, body.Expiration)
	if err != nil || !wire.FitsHeader(body.AccessKeyID) || !wire.FitsHeader(body.SecretAccessKey) || !wire.FitsHeader(body.SessionToken) {
		return agent.AWSCredentials{}, c.errMalformed("aws")
	}
	return agent.AWSCredentials{
		Environment: sanitize.OneLine(header.Get(wire.HeaderEnvironment)), AccessKeyID: body.AccessKeyID, SecretAccessKey: agent.NewSecret(body.SecretAccessKey),
		SessionToken: agent.NewSecret(body.SessionToken), ExpiresAt: expires, Warning: sanitize.OneLine(header.Get(wire.HeaderWarning)),
		User: sanitize.OneLine(header.Get(wire.HeaderUser)),
	}, nil
}
