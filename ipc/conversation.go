package ipc

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// answerTimeout is how long a challenge waits for its answer. Cognito's own
// session for it lasts 3 minutes by default (AuthSessionValidity).
const answerTimeout = 3 * time.Minute

// A conversation is a call of the service that may ask a person something: a
// sign-in, or the recovery of an account. It runs in a goroutine of its own, because
// it outlives the request that began it: the answer to a challenge comes with
// another request.
type conversation struct {
	desk   *desk
	id     string
	about  matter
	ctx    context.Context
	cancel context.CancelCauseFunc
	asked  chan question // of capacity 1: a challenge for the request that waits
	done   chan struct{} // closed after err is set
	err    error

	// Guarded by desk.mu.
	answers     chan agent.Answers // of capacity 1, one per question
	waiting     bool               // a question is out and has no answer yet
	environment string
}

type question struct {
	challenge agent.Challenge
	expiresAt time.Time
}

func (c *conversation) run(call serviceCall) {
	defer c.cancel(nil)
	defer close(c.done)
	defer c.desk.remove(c)
	defer func() {
		if v := recover(); v != nil {
			c.err = c.desk.crashed(v)
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
	answers := c.expect(question{ch, expiresAt})
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

// expect gives the question to the request that waits, and returns where the
// answer will come.
func (c *conversation) expect(q question) <-chan agent.Answers {
	if q.challenge.Fields == nil {
		q.challenge.Fields = []agent.Field{} // a list in JSON too
	}
	answers := make(chan agent.Answers, 1)
	c.desk.mu.Lock()
	c.answers, c.waiting, c.environment = answers, true, q.challenge.Environment
	c.desk.mu.Unlock()
	select {
	case c.asked <- q:
	case <-c.ctx.Done():
	}
	return answers
}

// expire ends a conversation that nobody answered, unless the answer, or a DELETE,
// came just now.
func (c *conversation) expire(answers <-chan agent.Answers) (agent.Answers, error) {
	d := c.desk
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case a := <-answers: // desk.answer put it there before it let go of the lock
		return a, nil
	case <-c.ctx.Done():
		return nil, context.Cause(c.ctx)
	default:
		err := c.about.tooLate(c.environment)
		d.endLocked(c, err)
		return nil, err
	}
}

// next waits for the next question, or the end. When ctx, the request's, ends
// first, the conversation is cancelled: nobody is there to hear how it went.
func (c *conversation) next(ctx context.Context) (loginBody, error) {
	select {
	case q := <-c.asked:
		if ctx.Err() == nil {
			return loginBody{State: stateChallenge, ID: c.id, Challenge: &q.challenge, ExpiresAt: q.expiresAt.UTC()}, nil
		}
	case <-c.done:
		return loginBody{State: stateDone}, c.err
	case <-ctx.Done():
	}
	return loginBody{}, c.abandon()
}

// abandon cancels a conversation whose client is gone, and returns the error it then
// ends with.
func (c *conversation) abandon() error {
	err := c.about.cancelled("the client went away, so the " + c.about.what + " was cancelled")
	c.cancel(err)
	return err
}
