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

// maxConversations bounds those going on at one time.
const maxConversations = 16

// A desk keeps the conversations that are going on.
type desk struct {
	base    context.Context
	crashed func(v any) error
	wg      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	going  map[string]*conversation
	// unheard are the last few that ended while their question was out, to tell those
	// who come with an answer.
	unheard []ending
}

// An ending is how the conversation called id ended.
type ending struct {
	id  string
	err error
}

// A serviceCall is a call of the service that may put challenges to ask.
type serviceCall func(ctx context.Context, ask agent.Prompter) error

func newDesk(base context.Context, crashed func(any) error) *desk {
	return &desk{base: base, crashed: crashed, going: map[string]*conversation{}}
}

// begin starts a conversation.
func (d *desk) begin(about matter, call serviceCall) (*conversation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, about.stopping()
	}
	if len(d.going) >= maxConversations {
		return nil, &agent.Error{
			Code: agent.CodeUnavailable, Op: about.op, RetryAfter: 30 * time.Second,
			Message: fmt.Sprintf("%d sign-ins or recoveries are going on already", maxConversations), Hint: "finish or cancel one, then try again",
		}
	}
	c := &conversation{
		desk: d, id: rand.Text(), about: about,
		asked: make(chan question, 1), done: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancelCause(d.base)
	d.going[c.id] = c
	d.wg.Go(func() { c.run(call) })
	return c, nil
}

// remove takes away a conversation whose service call has returned. Where its
// question is still out, Cognito or the agent ended it over the person's head.
func (d *desk) remove(c *conversation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.waiting && c.err != nil {
		d.endLocked(c, c.err)
	}
	delete(d.going, c.id)
}

// endLocked ends a conversation whose question is out; the caller holds mu.
func (d *desk) endLocked(c *conversation, err error) {
	c.waiting = false
	delete(d.going, c.id)
	d.unheard = append(d.unheard, ending{c.id, err})
	if len(d.unheard) > maxConversations {
		d.unheard = slices.Delete(d.unheard, 0, 1)
	}
}

// answer hands answers to the conversation called id and returns it.
func (d *desk) answer(id string, answers agent.Answers) (*conversation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.findLocked(id)
	if err != nil {
		return nil, err
	}
	if !c.waiting {
		return nil, usage("this %s has not asked anything; an answer to it may be on its way already", c.about.what)
	}
	c.waiting = false
	c.answers <- answers
	return c, nil
}

// giveUp cancels the conversation called id and returns it.
func (d *desk) giveUp(id string) (*conversation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.going[id]
	if c == nil {
		return nil, notGoing()
	}
	c.waiting = false
	c.cancel(c.about.cancelled("the " + c.about.what + " was cancelled"))
	return c, nil
}

// find returns the conversation called id.
func (d *desk) find(id string) (*conversation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.findLocked(id)
}

func (d *desk) findLocked(id string) (*conversation, error) {
	if c := d.going[id]; c != nil {
		return c, nil
	}
	for _, e := range d.unheard {
		if e.id == id {
			return nil, e.err
		}
	}
	return nil, notGoing()
}

func notGoing() error {
	err := usageStatus(http.StatusNotFound, "no such sign-in or recovery is going on; it may have ended already")
	err.err.Hint = "run the command that asked once more"
	return err
}

// close takes no more conversations and cancels those that wait for an answer: it
// would come with a new request, and there will be none.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, c := range d.going {
		if c.waiting {
			c.cancel(c.about.stopping())
		}
	}
}

// wait waits for the conversations to end, for at most limit.
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
