package ipc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// answerTimeout is how long a challenge waits for its answer. Cognito's session for it lasts
// 3 minutes by default (AuthSessionValidity).
const answerTimeout = 3 * time.Minute

// A conversation is a call of the service that may ask a person: a sign-in, or the recovery
// of an account. It runs in its own goroutine because it outlives the request that started
// it: the answer to a challenge comes with another request.
type conversation struct {
	all  *conversations
	id   string
	kind conversationKind

	pid     int // of the process that started it; 0 if it is not known
	started time.Time

	ctx    context.Context
	cancel context.CancelCauseFunc
	asked  chan question // capacity 1: a challenge for the request that waits
	done   chan struct{} // closed after err is set
	err    error

	// Guarded by all.mu.
	answers     chan agent.Answers // capacity 1, one per question
	waiting     bool               // for the answer to a question
	environment string
}

type question struct {
	challenge agent.Challenge
	expiresAt time.Time
}

func (c *conversation) run(call serviceCall) {
	defer c.cancel(nil)
	defer close(c.done)
	defer c.all.remove(c)
	defer func() {
		if v := recover(); v != nil {
			c.err = c.all.onPanic(v)
		}
	}()
	c.err = call(c.ctx, c.ask)
}

// ask is the service's [agent.Prompter].
func (c *conversation) ask(ctx context.Context, ch agent.Challenge) (agent.Answers, error) {
	expiry := time.NewTimer(answerTimeout)
	defer expiry.Stop()
	expiresAt := time.Now().Add(answerTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(expiresAt) {
		expiresAt = d
	}
	answers := c.sendQuestion(question{ch, expiresAt})
	select {
	case a := <-answers:
		return a, nil
	case <-expiry.C:
		return c.expire(answers)
	case <-c.ctx.Done():
		return nil, context.Cause(c.ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// sendQuestion passes the question to the request that waits, and returns where the answer
// will come.
func (c *conversation) sendQuestion(q question) <-chan agent.Answers {
	if q.challenge.Fields == nil {
		q.challenge.Fields = []agent.Field{} // a list in JSON too
	}
	answers := make(chan agent.Answers, 1)
	c.all.mu.Lock()
	c.answers, c.waiting, c.environment = answers, true, q.challenge.Environment
	c.all.mu.Unlock()
	select {
	case c.asked <- q:
	case <-c.ctx.Done():
	}
	return answers
}

// expire ends a conversation that got no answer, unless the answer, or a DELETE, has just
// arrived.
func (c *conversation) expire(answers <-chan agent.Answers) (agent.Answers, error) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	select {
	case a := <-answers: // conversations.answer sent it while it held the lock
		return a, nil
	case <-c.ctx.Done():
		return nil, context.Cause(c.ctx)
	default:
		err := c.kind.tooLate(c.environment)
		c.all.endLocked(c, err)
		return nil, err
	}
}

// next answers with the next question or the end. If ctx, the request's, ends first, the
// conversation is cancelled: nobody would see how it went.
func (c *conversation) next(ctx context.Context) (response, error) {
	select {
	case q := <-c.asked:
		if ctx.Err() == nil {
			return jsonResponse(wire.LoginBody{State: wire.StateChallenge, ID: c.id, Challenge: &q.challenge, ExpiresAt: q.expiresAt.UTC()}), nil
		}
		return response{}, c.abandon()
	case <-c.done:
		return c.end()
	case <-ctx.Done():
		return response{}, c.abandon()
	}
}

// end answers with how the conversation ended.
func (c *conversation) end() (response, error) {
	if c.err != nil {
		return response{}, c.err
	}
	return jsonResponse(wire.LoginBody{State: wire.StateDone}), nil
}

// abandon cancels a conversation whose client is gone, and returns the error that it then
// ends with.
func (c *conversation) abandon() error {
	err := c.kind.cancelled("the client went away, so the " + c.kind.what + " was cancelled")
	c.cancel(err)
	return err
}

// A conversationKind holds the texts for errors of a sign-in or a recovery.
type conversationKind struct {
	op      string // as in [agent.Error]
	what    string // "sign-in"
	command string // "kyc-agentd login"
}

var kindLogin = conversationKind{"login", "sign-in", "kyc-agentd login"}

func kindOfRecovery(action agent.RecoverAction) conversationKind {
	switch action {
	case agent.RecoverChange:
		return conversationKind{"recover", "change of password", "kyc-agentd password change"}
	case agent.RecoverConfirm, agent.RecoverResend:
		return conversationKind{"recover", "confirmation", "kyc-agentd confirm"}
	}
	return conversationKind{"recover", "password reset", "kyc-agentd password reset"}
}

// tooLate returns the error for an answer that did not come in time. An empty environment
// means the agent's default.
func (k conversationKind) tooLate(environment string) error {
	return &agent.Error{
		Code: agent.CodeLoginRequired, Op: k.op, Environment: environment,
		Hint:    strings.TrimSpace("run: " + k.command + " " + environment),
		Message: fmt.Sprintf("this %s waited more than %d minutes for an answer and has expired", k.what, answerTimeout/time.Minute),
	}
}

func (k conversationKind) cancelled(message string) error {
	return &agent.Error{Code: agent.CodeUnavailable, Op: k.op, Message: message, Hint: "try again"}
}

func (k conversationKind) stopping() error { return k.cancelled("the agent is stopping") }
