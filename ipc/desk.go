package ipc

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	// answerTimeout is how long a challenge waits for its answer. Cognito's own
	// session for it lasts 3 minutes by default (AuthSessionValidity).
	answerTimeout = 3 * time.Minute
	// maxLogins bounds the sign-ins going on at one time.
	maxLogins = 16
)

// A desk keeps the sign-ins that are going on. Each runs in a goroutine of its own,
// because it outlives the request that began it: the answer to a challenge comes
// with another request.
type desk struct {
	service agent.Service
	base    context.Context
	crashed func(v any) error
	wg      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	logins map[string]*login
	// expired remembers the last few that nobody answered, to tell those who come late.
	expired []lapsed
}

type lapsed struct{ id, environment string }

// A login is one sign-in.
type login struct {
	desk   *desk
	id     string
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

func newDesk(base context.Context, service agent.Service, crashed func(any) error) *desk {
	return &desk{service: service, base: base, crashed: crashed, logins: map[string]*login{}}
}

// begin starts a sign-in.
func (d *desk) begin(req agent.LoginRequest) (*login, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, stopping()
	}
	if len(d.logins) >= maxLogins {
		return nil, &agent.Error{
			Code: agent.CodeUnavailable, Op: "login", RetryAfter: 30 * time.Second,
			Message: fmt.Sprintf("%d sign-ins are going on already", maxLogins), Hint: "finish or cancel one, then try again",
		}
	}
	l := &login{
		desk: d, id: rand.Text(), environment: req.Environment,
		asked: make(chan question, 1), done: make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancelCause(d.base)
	d.logins[l.id] = l
	d.wg.Go(func() { l.run(req) })
	return l, nil
}

func stopping() error {
	return &agent.Error{Code: agent.CodeUnavailable, Op: "login", Message: "the agent is stopping", Hint: "try again"}
}

func (l *login) run(req agent.LoginRequest) {
	defer l.cancel(nil)
	defer close(l.done)
	defer l.desk.remove(l)
	defer func() {
		if v := recover(); v != nil {
			l.err = l.desk.crashed(v)
		}
	}()
	l.err = l.desk.service.Login(l.ctx, req, l.ask)
}

func (d *desk) remove(l *login) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.logins, l.id)
}

// ask is the service's [agent.Asker].
func (l *login) ask(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
	expiry := time.NewTimer(answerTimeout)
	defer expiry.Stop()
	answers := l.expect(c)
	select {
	case a := <-answers:
		return a, nil
	case <-expiry.C:
		return l.expire(answers)
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// expect gives the question to the request that waits, and returns where the
// answer will come.
func (l *login) expect(c agent.Challenge) <-chan agent.Answers {
	if c.Inputs == nil {
		c.Inputs = []agent.Input{} // a list in JSON too
	}
	answers := make(chan agent.Answers, 1)
	l.desk.mu.Lock()
	l.answers, l.waiting, l.environment = answers, true, c.Environment
	l.desk.mu.Unlock()
	select {
	case l.asked <- question{c, time.Now().Add(answerTimeout)}:
	case <-l.ctx.Done():
	}
	return answers
}

// expire ends a sign-in that nobody answered, unless the answer came just now.
func (l *login) expire(answers <-chan agent.Answers) (agent.Answers, error) {
	d := l.desk
	d.mu.Lock()
	defer d.mu.Unlock()
	if !l.waiting {
		return <-answers, nil // desk.answer put it there before it let go of the lock
	}
	l.waiting = false
	delete(d.logins, l.id)
	d.expired = append(d.expired, lapsed{l.id, l.environment})
	if len(d.expired) > maxLogins {
		d.expired = slices.Delete(d.expired, 0, 1)
	}
	return nil, tooLate(l.environment)
}

func tooLate(environment string) error {
	hint := "run: kyc-agentd login"
	if environment != "" {
		hint += " " + environment
	}
	return &agent.Error{
		Code: agent.CodeLoginRequired, Op: "login", Environment: environment,
		Message: fmt.Sprintf("this sign-in waited more than %d minutes for an answer and has expired", answerTimeout/time.Minute),
		Hint:    hint,
	}
}

// answer hands answers to the sign-in called id and returns it.
func (d *desk) answer(id string, answers agent.Answers) (*login, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, err := d.findLocked(id)
	if err != nil {
		return nil, err
	}
	if !l.waiting {
		return nil, usage("this sign-in has not asked anything; an answer to it may be on its way already")
	}
	l.waiting = false
	l.answers <- answers
	return l, nil
}

// giveUp cancels the sign-in called id and returns it.
func (d *desk) giveUp(id string) (*login, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, err := d.findLocked(id)
	if err != nil {
		return nil, err
	}
	l.cancel(cancelled("the sign-in was cancelled"))
	return l, nil
}

func (d *desk) findLocked(id string) (*login, error) {
	if l := d.logins[id]; l != nil {
		return l, nil
	}
	for _, e := range d.expired {
		if e.id == id {
			return nil, tooLate(e.environment)
		}
	}
	err := usageStatus(http.StatusNotFound, "no such sign-in is going on; it may have ended already")
	err.err.Hint = "run: kyc-agentd login"
	return nil, err
}

func cancelled(message string) error {
	return &agent.Error{Code: agent.CodeUnavailable, Op: "login", Message: message, Hint: "try again"}
}

// next waits for the sign-in's next question, or its end. When ctx, the request's,
// ends first, the sign-in is cancelled: nobody is there to hear how it went.
func (l *login) next(ctx context.Context) (loginBody, error) {
	select {
	case q := <-l.asked:
		if ctx.Err() == nil {
			return loginBody{State: stateChallenge, ID: l.id, Challenge: &q.challenge, ExpiresAt: q.expiresAt.UTC()}, nil
		}
	case <-l.done:
		return loginBody{State: stateDone}, l.err
	case <-ctx.Done():
	}
	err := cancelled("the client went away, so the sign-in was cancelled")
	l.cancel(err)
	return loginBody{}, err
}

// close takes no more sign-ins and cancels those that wait for an answer: it would
// come with a new request, and there will be none.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, l := range d.logins {
		if l.waiting {
			l.cancel(stopping())
		}
	}
}

// wait waits for the sign-ins to end, for at most limit.
func (d *desk) wait(limit time.Duration) {
	ended := make(chan struct{})
	go func() { d.wg.Wait(); close(ended) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}
