package ipc

import (
	"net/http"

	"github.com/legaltalent/kyc-agent/ipc/helper"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

func (h *handler) serveHelper(r *request) (response, error) {
	ctx, cancel := h.withTimeout(helperTimeout)
	defer cancel()
	user, err := userOf(&r.query)
	if err != nil {
		return response{}, wire.InEnvironment(r.query.Get("env"), err)
	}
	answer, err := helper.Handle(ctx, h.serviceFor(r.conn), helper.Request{
		Protocol: r.param, Operation: r.query.Get("operation"), Environment: r.query.Get("env"), MinValid: r.query.Get("min_valid"), User: user, Body: r.body,
	})
	if err != nil {
		return response{}, err
	}
	if answer.MediaType == "" {
		return response{status: http.StatusNoContent}, nil
	}
	return response{
		mediaType: answer.MediaType, warning: answer.Warning, body: answer.Body, user: answer.Token.User,
		issued: issued{answer.Token.Environment, answer.Token.IDToken, r.param},
	}, nil
}
