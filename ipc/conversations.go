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
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// maxConversations bounds the conversations at one time.
const maxConversations = 16

// conversations holds the conversations that have not ended.
type conversations struct {
	serving context.Context // cancels them when it ends
	onPanic func(v any) error
	wg      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	active map[string]*conversation
	// tombstones are the last conversations that ended while they waited for an answer, so
	// that a late answer gets the error.
	tombstones []tombstone
}

// A tombstone says how the conversation called id ended.
type tombstone struct {
	id  string
	err error
}

// A serviceCall is a call of the service that may ask a person.
type serviceCall func(ctx context.Context, ask agent.Prompter) error

func newConversations(serving context.Context, onPanic func(any) error) *conversations {
	return &conversations{serving: serving, onPanic: onPanic, active: map[string]*conversation{}}
}

// start starts a conversation for the process whose id is pid; 0 means that it is not known. If
// there are too many, the process that has the most loses its oldest one, so that a program
// that starts and leaves them keeps no person from signing in.
func (cs *conversations) start(pid int, kind conversationKind, call serviceCall) (*conversation, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return nil, kind.stopping()
	}
	if len(cs.active) >= maxConversations && !cs.makeRoomLocked() {
		return nil, &agent.Error{
			Code: agent.CodeUnavailable, Op: kind.op, RetryAfter: 30 * time.Second,
			Message: fmt.Sprintf("%d sign-ins or recoveries are going on already", maxConversations), Hint: "finish or cancel one, then try again",
		}
	}
	c := &conversation{
		all: cs, id: rand.Text(), kind: kind, pid: pid, started: time.Now(),
		asked: make(chan question, 1), done: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancelCause(cs.serving)
	cs.active[c.id] = c
	cs.wg.Go(func() { c.run(call) })
	return c, nil
}

// makeRoomLocked ends the oldest conversation of the process that has the most, unless none has
// two. The caller holds mu.
func (cs *conversations) makeRoomLocked() bool {
	byPID := map[int][]*conversation{}
	var most []*conversation
	for _, c := range cs.active {
		byPID[c.pid] = append(byPID[c.pid], c)
		if all := byPID[c.pid]; c.pid > 0 && len(all) > len(most) {
			most = all
		}
	}
	if len(most) < 2 {
		return false
	}
	oldest := slices.MinFunc(most, func(a, b *conversation) int { return a.started.Compare(b.started) })
	err := oldest.kind.cancelled("the " + oldest.kind.what + " was ended because the same program has begun so many of them")
	oldest.cancel(err)
	cs.endLocked(oldest, err)
	return true
}

// remove removes a conversation whose service call has returned. If it still waits for an
// answer, Cognito or the agent ended it meanwhile.
func (cs *conversations) remove(c *conversation) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.waiting && c.err != nil {
		cs.endLocked(c, c.err)
	}
	delete(cs.active, c.id)
}

// endLocked ends a conversation that waits for an answer. The caller holds mu.
func (cs *conversations) endLocked(c *conversation, err error) {
	c.waiting = false
	delete(cs.active, c.id)
	cs.tombstones = append(cs.tombstones, tombstone{c.id, err})
	if len(cs.tombstones) > maxConversations {
		cs.tombstones = slices.Delete(cs.tombstones, 0, 1)
	}
}

// answer passes answers to the conversation called id and returns it.
func (cs *conversations) answer(id string, answers agent.Answers) (*conversation, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c, err := cs.findLocked(id)
	if err != nil {
		return nil, err
	}
	if !c.waiting {
		return nil, wire.UsageError("this %s has not asked anything; an answer to it may be on its way already", c.kind.what)
	}
	c.waiting = false
	c.answers <- answers
	return c, nil
}

// cancel cancels the conversation called id and returns it.
func (cs *conversations) cancel(id string) (*conversation, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.active[id]
	if c == nil {
		return nil, errNotActive()
	}
	c.waiting = false
	c.cancel(c.kind.cancelled("the " + c.kind.what + " was cancelled"))
	return c, nil
}

// find returns the conversation called id.
func (cs *conversations) find(id string) (*conversation, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.findLocked(id)
}

func (cs *conversations) findLocked(id string) (*conversation, error) {
	if c := cs.active[id]; c != nil {
		return c, nil
	}
	for _, e := range cs.tombstones {
		if e.id == id {
			return nil, e.err
		}
	}
	return nil, errNotActive()
}

func errNotActive() error {
	err := wire.NewStatusError(http.StatusNotFound, "no such sign-in or recovery is going on; it may have ended already")
	err.Err.Hint = "run the command that asked once more"
	return err
}

// close refuses new conversations and cancels those that wait for an answer: it would come
// with a new request, and there will be none.
func (cs *conversations) close() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	for _, c := range cs.active {
		if c.waiting {
			c.cancel(c.kind.stopping())
		}
	}
}

// wait waits until the conversations have ended, for at most limit.
func (cs *conversations) wait(limit time.Duration) {
	ended := make(chan struct{})
	go func() { cs.wg.Wait(); close(ended) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}
