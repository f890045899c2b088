package ipc

import (
	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

func (h *handler) serveAWSCredentials(r *request, req agent.TokenRequest) (response, error) {
	ctx, cancel := h.withTimeout(tokenTimeout)
	defer cancel()
	c, err := h.serviceFor(r.conn).AWSCredentials(ctx, req)
	if err != nil {
		return response{}, err
	}
	return response{mediaType: wire.MediaJSON, warning: sanitize.OneLine(c.Warning), environment: c.Environment, user: c.User, issued: issued{environment: c.Environment, detail: c.AccessKeyID}, body: wire.Encode(wire.AWSBody{
		Version: 1, AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.Reveal(),
		SessionToken: c.SessionToken.Reveal(), Expiration: wire.RFC3339(c.ExpiresAt),
	})}, nil
}
