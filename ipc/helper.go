package ipc

import (
	"net/http"

	"github.com/legaltalent/kyc-agent/ipc/helper"
)

func (h *handler) serveHelper(r *request) (response, error) {
	ctx, cancel := h.withTimeout(helperTimeout)
	defer cancel()
	answer, err := helper.Handle(ctx, h.service, helper.Request{
		Protocol: r.param, Operation: r.query.Get("operation"), Environment: r.query.Get("env"), MinValid: r.query.Get("min_valid"), Body: r.body,
	})
	if err != nil {
		return response{}, err
	}
	if answer.MediaType == "" {
		return response{status: http.StatusNoContent}, nil
	}
	return response{mediaType: answer.MediaType, warning: answer.Warning, body: answer.Body}, nil
}
