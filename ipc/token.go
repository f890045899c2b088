package ipc

import (
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

func (h *handler) serveToken(r *request) (response, error) {
	env := r.query.Get("env")
	f, err := formatFor(r.http, r.query.Get("format"))
	if err != nil {
		return response{}, err
	}
	minValid, err := wire.ParseMinValid(r.query.Get("min_valid"))
	if err != nil {
		return response{}, wire.InEnvironment(env, err)
	}
	req := agent.TokenRequest{Environment: env, MinValid: minValid}
	if f.Render == nil {
		return h.serveAWSCredentials(req)
	}
	limit := tokenTimeout
	if f.ForTool {
		limit = helperTimeout
	}
	t, err := h.token(req, limit)
	if err != nil {
		return response{}, err
	}
	return response{mediaType: f.MediaType, warning: sanitize.OneLine(t.Warning), body: []byte(f.Render(t, time.Now()))}, nil
}

// token asks the service for a token, and checks that it can be sent.
func (h *handler) token(req agent.TokenRequest, limit time.Duration) (agent.Token, error) {
	ctx, cancel := h.withTimeout(limit)
	defer cancel()
	t, err := h.service.Token(ctx, req)
	if err != nil {
		return agent.Token{}, err
	}
	return t, wire.CheckToken(t)
}
