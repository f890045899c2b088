package ipc

import (
	"context"
	"net/http"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// awsBody is format=aws of GET /v1/token: what the AWS SDKs run a credential_process
// for. Without Expiration they would keep the credentials for ever.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
type awsBody struct {
	Version         int    `json:"Version"` // 1
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	SessionToken    string `json:"SessionToken"`
	Expiration      string `json:"Expiration"` // RFC 3339, UTC, whole seconds
}

func (a *api) aws(req agent.TokenRequest) (reply, error) {
	ctx, cancel := a.work(tokenTimeout)
	defer cancel()
	c, err := a.service.AWSCredentials(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return reply{mediaType: mediaJSON, warning: sanitize.OneLine(c.Warning), environment: c.Environment, body: encode(awsBody{
		Version: 1, AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.Reveal(),
		SessionToken: c.SessionToken.Reveal(), Expiration: rfc3339(c.ExpiresAt),
	})}, nil
}

// AWSCredentials implements [agent.Service].
func (c *Client) AWSCredentials(ctx context.Context, req agent.TokenRequest) (agent.AWSCredentials, error) {
	call := call{op: "aws", environment: req.Environment, method: http.MethodGet, path: tokenPath(req, "aws"), limit: quickCall}
	var body awsBody
	header, err := c.do(ctx, call, &body)
	if err != nil {
		return agent.AWSCredentials{}, err
	}
	expires, err := time.Parse(time.RFC3339, body.Expiration)
	if err != nil || body.AccessKeyID == "" || body.SecretAccessKey == "" || body.SessionToken == "" {
		return agent.AWSCredentials{}, c.garbled("aws")
	}
	return agent.AWSCredentials{
		Environment: sanitize.OneLine(header.Get(headerEnvironment)), AccessKeyID: body.AccessKeyID, SecretAccessKey: agent.NewSecret(body.SecretAccessKey),
		SessionToken: agent.NewSecret(body.SessionToken), ExpiresAt: expires, Warning: sanitize.OneLine(header.Get(headerWarning)),
	}, nil
}
