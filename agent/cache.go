package agent

import (
	"context"
	"sync/atomic"
	"time"
)

// A credentialCache keeps a credential in memory and refreshes it ahead of its end. A
// session has two of them: one for the ID token, and one for the AWS credentials that
// are made with it. A request that finds enough life left only reads current and only
// writes lastUsed.
type credentialCache struct {
	session  *session
	provider provider

	current  atomic.Pointer[cachedCredential]
	lastUsed atomic.Int64 // when a request last asked, wall clock, Unix nanoseconds

	// Guarded by the session's mu.
	inFlight *refreshCall // the refresh that is running, or nil
	backoff  backoff      // after refreshes that failed
}

// A provider makes the credentials of a cache. It is all in which the two caches differ.
type provider interface {
	// windows returns how long before the end of cred a refresh is due (advisory), and
	// the remaining life below which a request waits for that refresh (mandatory).
	windows(cred *cachedCredential) (advisory, mandatory time.Duration)
	// refusalLocked returns why a refresh needs a person, or nil if one may be attempted.
	// The caller holds the session's mu.
	refusalLocked() *Error
	// unaskedDue reports whether a refresh is due although nobody asks, and the pause before
	// it.
	unaskedDue(now time.Time) (pause time.Duration, due bool)
	// refresh replaces cred in memory, unless something else replaced it first.
	refresh(cred *cachedCredential) *Error
	// recordLocked records how a refresh ended. The caller holds the session's mu.
	recordLocked(*Error)
	messages() messages
}

// messages holds the texts that differ between ID tokens and AWS credentials.
type messages struct {
	op        string // of errors: "token"
	logOp     string // of log records: "refresh"
	lifetime  string // "an ID token's life"
	pending   string // "the refresh at Cognito is still going on"
	refreshed string // for the log: "ID token refreshed"
	failed    string // for the log: "ID token not refreshed"
}

// get returns a credential that is valid for at least minValid, from memory if possible.
// Outside of the advisory window that is a read of one pointer, and of each clock once: a hit is so
// short that each further time costs a hundredth of it.
func (c *credentialCache) get(ctx context.Context, minValid time.Duration) (reading, error) {
	if minValid < 0 {
		return reading{}, c.session.errorf(c.provider.messages().op, CodeUsage, "min_valid %s is below zero", minValid)
	}
	now := c.session.agent.now()
	cred := c.current.Load()
	c.touch(cred, now)
	if cred != nil {
		advisory, _ := c.provider.windows(cred)
		if r := cred.read(now); r.left > advisory && r.left >= minValid {
			return r, nil
		}
	}
	cred, err := c.getOrRefresh(ctx, cred, minValid)
	return cred.read(c.session.agent.now()), err
}

// getOrRefresh answers a request for which cred is inside the advisory window, expired,
// too short-lived, or nil. It starts a refresh, and waits for it only if cred cannot
// serve in the meantime.
func (c *credentialCache) getOrRefresh(ctx context.Context, cred *cachedCredential, minValid time.Duration) (*cachedCredential, error) {
	asked := c.session.agent.now()
	for range 2 {
		if err := c.checkAttainable(cred, minValid); err != nil {
			return nil, err
		}
		if err := c.awaitPace(ctx, cred, minValid); err != nil {
			return nil, err
		}
		now := c.session.agent.now()
		call, failed := c.startOrJoin(cred, true)
		if cred != nil {
			if _, mandatory := c.provider.windows(cred); cred.left(now) >= max(minValid, mandatory) {
				return cred, nil
			}
		}
		if call != nil {
			failed = call.wait(ctx, c)
		}
		if failed != nil {
			return c.result(minValid, failed)
		}
		// It may be the credential of a refresh that was under way when the request came, or one
		// that was kept until it could be verified. Then the next one has more life.
		cred = c.current.Load()
		if cred == nil || cred.usable(c.session.agent.now(), minValid) || !cred.requestedWall.Before(asked) {
			break
		}
	}
	return c.result(minValid, nil)
}

// awaitPace holds a request for more life than cred has, until cred is old enough that a refresh
// yields noticeably more: such requests cost no more than a call every few seconds, even if one
// follows the other.
func (c *credentialCache) awaitPace(ctx context.Context, cred *cachedCredential, minValid time.Duration) error {
	now := c.session.agent.now()
	if cred == nil || minValid <= cred.left(now) {
		return nil
	}
	pause := cred.negligible() - cred.age(now)
	if pause <= 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		m := c.provider.messages()
		e := c.session.errorf(m.op, CodeUnavailable, "min_valid %s needs a refresh, and the last one was %s ago; try again", minValid, cred.age(now).Round(time.Second))
		e.RetryAfter, e.Err = time.Second, ctx.Err()
		return e
	}
}

// result returns the cached credential after a refresh finished or could not start.
func (c *credentialCache) result(minValid time.Duration, failed *Error) (*cachedCredential, error) {
	now, cred := c.session.agent.now(), c.current.Load()
	if cred.usable(now, minValid) {
		c.touch(cred, now)
		return cred, nil
	}
	if failed != nil {
		return nil, failed
	}
	if err := c.checkAttainable(cred, minValid); err != nil {
		return nil, err
	}
	if cred.left(now) > 0 {
		return nil, c.session.errorf(c.provider.messages().op, CodeUnavailable,
			"the refresh took so long that less than min_valid %s was left; try again", minValid)
	}
	return nil, c.session.goneError(c.provider.messages().op)
}

// checkAttainable refuses a minValid that even a new credential would not meet, so that
// asking for it again and again costs no calls. A new one has lost some of its life on its way.
func (c *credentialCache) checkAttainable(cred *cachedCredential, minValid time.Duration) error {
	if cred == nil || minValid < cred.lifetime || minValid <= cred.left(c.session.agent.now()) {
		return nil
	}
	m := c.provider.messages()
	return c.session.errorf(m.op, CodeUsage, "min_valid %s is not less than %s of %s; ask for less", minValid, m.lifetime, cred.lifetime)
}

// touch records that cred is in demand. The first request after cred was issued wakes
// the scheduler, which then plans the refresh.
func (c *credentialCache) touch(cred *cachedCredential, now time.Time) {
	before := c.lastUsed.Swap(now.UnixNano())
	if cred != nil && before < cred.requestedWall.UnixNano() {
		c.session.agent.wakeScheduler()
	}
}

// inDemand reports whether cred was used since it was issued, and within the last
// lifetime of such a credential.
func (c *credentialCache) inDemand(cred *cachedCredential, now time.Time) bool {
	used := time.Unix(0, c.lastUsed.Load())
	return !used.Before(cred.requestedWall) && now.Sub(used) <= cred.lifetime
}

// due returns how long until the scheduler refreshes cred; 0 or less means now.
func (c *credentialCache) due(cred *cachedCredential, now time.Time) time.Duration {
	advisory, _ := c.provider.windows(cred)
	return cred.left(now) - advisory - cred.jitter
}

// refreshIfDue starts a refresh that is due, and returns how long until the scheduler
// should call it again; 0 means not before it is woken.
func (c *credentialCache) refreshIfDue() time.Duration {
	cred, now := c.current.Load(), c.session.agent.now()
	pause, due := c.provider.unaskedDue(now)
	if !due {
		if cred == nil || !c.inDemand(cred, now) {
			return 0
		}
		if d := c.due(cred, now); d > 0 {
			return d
		}
		c.session.mu.Lock()
		pause = c.backoff.remaining(now, false)
		c.session.mu.Unlock()
	}
	if pause > 0 {
		return pause
	}
	_, _ = c.startOrJoin(cred, due) // a refresh wakes the scheduler when it ends; a refusal needs a person
	return 0
}

// A refreshCall is one refresh, shared by all requests that wait for it.
type refreshCall struct {
	replaces *cachedCredential // what was in memory when the refresh started
	done     chan struct{}
	err      *Error       // read after done is closed
	overtook *refreshCall // ends with it; nil if there was none
}

// wait returns how the refresh ended, or an error if ctx ends first. The refresh goes on
// regardless.
func (call *refreshCall) wait(ctx context.Context, c *credentialCache) *Error {
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		m := c.provider.messages()
		e := c.session.errorf(m.op, CodeUnavailable, "%s; try again", c.session.pending(m.pending))
		e.RetryAfter = time.Second
		e.Err = ctx.Err()
		return e
	}
}

// startOrJoin returns the refresh that is running, or starts one to replace cred, which
// the caller read before. If cred has been replaced since, there is nothing to wait for
// and both results are nil. asked is true for a request and false for the scheduler. The
// error is why no refresh can start.
func (c *credentialCache) startOrJoin(cred *cachedCredential, asked bool) (*refreshCall, *Error) {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.inFlight != nil {
		return c.inFlight, nil
	}
	if now := c.current.Load(); now != cred && now != nil {
		return nil, nil
	}
	if err := s.agent.lockedError(); err != nil {
		return nil, err
	}
	if err := c.provider.refusalLocked(); err != nil {
		return nil, err
	}
	if pause := c.backoff.remaining(s.agent.now(), asked); pause > 0 {
		return nil, c.backoff.lastError(pause)
	}
	call := &refreshCall{replaces: cred, done: make(chan struct{})}
	if !s.agent.goTracked(func() { c.runRefresh(call) }) {
		return nil, s.errorf(c.provider.messages().op, CodeUnavailable, "the agent is stopping; try again")
	}
	c.inFlight = call
	return call, nil
}

// runRefresh runs the one refresh of this cache. It runs on the agent's context, so no
// caller can interrupt it.
func (c *credentialCache) runRefresh(call *refreshCall) {
	started := time.Now()
	err := c.provider.refresh(call.replaces)
	c.session.mu.Lock()
	overtaken := c.inFlight != call
	if !overtaken {
		c.provider.recordLocked(err)
		c.endLocked(call, err)
	}
	c.session.mu.Unlock()
	if !overtaken && (err == nil || !err.repeated) {
		c.logRefresh(err, time.Since(started))
	}
	c.session.agent.wakeScheduler()
}

// endLocked answers the requests that wait for call. The caller holds the session's mu.
func (c *credentialCache) endLocked(call *refreshCall, err *Error) {
	call.err, c.inFlight = err, nil
	close(call.done)
	if call.overtook != nil {
		c.endLocked(call.overtook, err)
	}
}

// stopLocked answers the requests that wait for a refresh which a logout makes pointless. What
// that refresh still brings is thrown away. The caller holds the session's mu.
func (c *credentialCache) stopLocked() {
	if c.inFlight != nil {
		c.endLocked(c.inFlight, nil)
	}
}

// overtakeLocked puts a call in the place of the refresh in progress: a login brings what that
// was for. The requests that wait for the refresh, and those to come, wait for the call. The
// caller holds the session's mu.
func (c *credentialCache) overtakeLocked() *refreshCall {
	c.inFlight = &refreshCall{done: make(chan struct{}), overtook: c.inFlight}
	return c.inFlight
}

func (c *credentialCache) logRefresh(err *Error, took time.Duration) {
	m := c.provider.messages()
	log := c.session.agent.log.With("op", m.logOp, "env", c.session.name, "duration", took.Round(time.Millisecond))
	if err == nil {
		log.Info(m.refreshed)
		return
	}
	log.Warn(m.failed, "code", string(err.Code), "error", err.Error(), "cause", causeOf(err))
}
