package ipc

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

func (h *handler) serveLogin(r *request) (response, error) {
	var environment, username, password, apiKey, limit, redirectURI string
	err := fields{
		"environment": &environment, "username": &username, "password": &password, "api_key": &apiKey, "for": &limit,
		"redirect_uri": &redirectURI,
	}.decode(r.body)
	if err != nil {
		return response{}, err
	}
	lasts, err := wire.ParseDuration("for", limit)
	if err != nil {
		return response{}, err
	}
	req := agent.LoginRequest{
		Environment: environment, Username: username,
		Password: agent.NewSecret(password), APIKey: agent.NewSecret(apiKey), For: lasts, RedirectURI: redirectURI,
	}
	from := h.audit.peerOn(r.conn)
	return h.startConversation(r, kindLogin, func(ctx context.Context, ask agent.Prompter) error {
		err := h.service.Login(ctx, req, ask)
		h.audit.signIn(from, h.named(req.Environment), req, err)
		return err
	})
}

func (h *handler) serveAccount(r *request) (response, error) {
	var environment, action, username, password string
	err := fields{
		"environment": &environment, "action": &action, "username": &username, "password": &password,
	}.decode(r.body)
	if err != nil {
		return response{}, err
	}
	req := agent.RecoverRequest{
		Environment: environment, Action: agent.RecoverAction(action),
		Username: username, Password: agent.NewSecret(password),
	}
	return h.startConversation(r, kindOfRecovery(req.Action), func(ctx context.Context, ask agent.Prompter) error {
		return h.service.Recover(ctx, req, ask)
	})
}

// startConversation starts a conversation and answers with its first step.
func (h *handler) startConversation(r *request, kind conversationKind, call serviceCall) (response, error) {
	c, err := h.conversations.start(peerOf(r.http).PID, kind, call)
	if err != nil {
		return response{}, err
	}
	return c.next(r.http.Context())
}

func (h *handler) serveLoginAnswer(r *request) (response, error) {
	var answers agent.Answers
	if err := (fields{"answers": &answers}).decode(r.body); err != nil {
		return response{}, err
	}
	if answers == nil {
		return response{}, wire.UsageError("field \"answers\" of the body is missing")
	}
	c, err := h.conversations.answer(r.param, answers)
	if err != nil {
		return response{}, err
	}
	return c.next(r.http.Context())
}

// serveLoginWait waits for the end of a conversation. If its client disconnects, the
// process that asks the person has died, and the conversation is cancelled.
func (h *handler) serveLoginWait(r *request) (response, error) {
	c, err := h.conversations.find(r.param)
	if err != nil {
		return response{}, err
	}
	select {
	case <-c.done:
		return c.end()
	case <-r.http.Context().Done():
		return response{}, c.abandon()
	}
}

func (h *handler) serveLoginCancel(r *request) (response, error) {
	c, err := h.conversations.cancel(r.param)
	if err != nil {
		return response{}, err
	}
	select {
	case <-c.done:
	case <-r.http.Context().Done():
	}
	return jsonResponse(wire.LoginBody{State: wire.StateCancelled}), nil
}
