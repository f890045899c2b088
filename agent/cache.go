package agent

import (
	"context"
	"sync/atomic"
	"time"
)

// A credentialCache is what a session hands out of memory and has renewed ahead of its end. There
// are two of them: the ID token, and the AWS credentials that are made with it. Requests
// that find enough life left read only held and write only used.
type credentialCache struct {
	session  *session
	provider provider

	current  atomic.Pointer[cachedCredential]
	lastUsed atomic.Int64 // when a request last asked, wall clock, Unix nanoseconds

	// Guarded by the session's mu.
	inFlight *refreshCall // the renewal going on, or nil
	backoff  backoff      // of renewing
}

// A provider is how the two supplies differ.
type provider interface {
	// windows are the time before the end of cred from which on it is to be renewed, and
	// the life below which a request waits for that.
	windows(cred *cachedCredential) (advisory, mandatory time.Duration)
	// refusalLocked says why there is nothing to be had without a person, or is nil when
	// it may be tried. The caller holds the session's mu.
	refusalLocked() *Error
	// refresh puts something newer than cred into memory, unless somebody else did.
	refresh(cred *cachedCredential) *Error
	// recordLocked keeps count of how renewals end. The caller holds the session's mu.
	recordLocked(*Error)
	messages() messages
}

// messages are what a supply is called.
type messages struct {
	op        string // of its errors: "token"
	logOp     string // of its log records: "refresh"
	lifetime  string // "an ID token's life"
	pending   string // "the refresh at Cognito is still going on"
	refreshed string // for the log: "ID token refreshed"
	failed    string // for the log: "no refresh"
}

// get returns what has minValid left and is not about to end. While more than the margin
// is left, that is a read of one pointer.
func (c *credentialCache) get(ctx context.Context, minValid time.Duration) (*cachedCredential, error) {
	if minValid < 0 {
		return nil, c.session.errorf(c.provider.messages().op, CodeUsage, "min_valid %s is below zero", minValid)
	}
	now := c.session.agent.now()
	cred := c.current.Load()
	c.touch(cred, now)
	if cred != nil {
		advisory, _ := c.provider.windows(cred)
		if left := cred.left(now); left > advisory && left >= minValid {
			return cred, nil
		}
	}
	return c.getOrRefresh(ctx, cred, minValid)
}

// getOrRefresh answers a request that finds cred inside the margin, dead, or nil. It starts the
// renewal, and waits for it only when cred cannot serve meanwhile.
func (c *credentialCache) getOrRefresh(ctx context.Context, cred *cachedCredential, minValid time.Duration) (*cachedCredential, error) {
	now := c.session.agent.now()
	if err := c.checkAttainable(cred, now, minValid); err != nil {
		return nil, err
	}
	call, failed := c.startOrJoin(cred, true)
	if cred != nil {
		if _, mandatory := c.provider.windows(cred); cred.left(now) >= max(minValid, mandatory) {
			return cred, nil
		}
	}
	if call != nil {
		failed = call.wait(ctx, c)
	}
	return c.result(minValid, failed)
}

// result answers with what memory holds after a renewal ended or was not to be had.
func (c *credentialCache) result(minValid time.Duration, failed *Error) (*cachedCredential, error) {
	now, cred := c.session.agent.now(), c.current.Load()
	if cred.usable(now, minValid) {
		c.touch(cred, now)
		return cred, nil
	}
	if failed != nil {
		return nil, failed
	}
	if err := c.checkAttainable(cred, now, minValid); err != nil {
		return nil, err
	}
	// The sign-in went away, or the configuration changed, while we waited.
	return nil, c.session.notSignedIn(c.provider.messages().op)
}

// checkAttainable refuses a min_valid that nothing of this supply can meet, so that asking for it
// over and over costs no calls.
func (c *credentialCache) checkAttainable(cred *cachedCredential, now time.Time, minValid time.Duration) error {
	if cred == nil || minValid <= cred.left(now) || minValid <= cred.lifetime && !cred.justIssued(now) {
		return nil
	}
	w := c.provider.messages()
	return c.session.errorf(w.op, CodeUsage, "min_valid %s is more than %s of %s; ask for less", minValid, w.lifetime, cred.lifetime)
}

// touch notes that cred is in demand. The first request since it was issued wakes the
// scheduler, which then plans its renewal.
func (c *credentialCache) touch(cred *cachedCredential, now time.Time) {
	before := c.lastUsed.Swap(now.UnixNano())
	if cred != nil && before < cred.requestedWall.UnixNano() {
		c.session.agent.wakeScheduler()
	}
}

// inDemand reports whether cred was used since it was issued, and not longer ago than one
// of its lives.
func (c *credentialCache) inDemand(cred *cachedCredential, now time.Time) bool {
	used := time.Unix(0, c.lastUsed.Load())
	return !used.Before(cred.requestedWall) && now.Sub(used) <= cred.lifetime
}

// due is how long until the renewal of cred starts by itself; 0 or less is now.
func (c *credentialCache) due(cred *cachedCredential, now time.Time) time.Duration {
	advisory, _ := c.provider.windows(cred)
	return cred.left(now) - advisory - cred.jitter
}

// refreshIfDue starts a renewal that is due and says how long until it wants to look again; 0 is
// never.
func (c *credentialCache) refreshIfDue() time.Duration {
	cred, now := c.current.Load(), c.session.agent.now()
	if cred == nil || !c.inDemand(cred, now) {
		return 0
	}
	if d := c.due(cred, now); d > 0 {
		return d
	}
	c.session.mu.Lock()
	pause := c.backoff.remaining(now, false)
	c.session.mu.Unlock()
	if pause > 0 {
		return pause
	}
	_, _ = c.startOrJoin(cred, false) // a flight wakes us when it ends; a refusal needs a person
	return 0
}

// A refreshCall is one renewal, shared by all who wait for it.
type refreshCall struct {
	replaces *cachedCredential // what was in memory when it was started
	done     chan struct{}
	err      *Error // read after done is closed
}

// wait returns the flight's error, or one that says that ctx ended first. The
// flight goes on regardless.
func (call *refreshCall) wait(ctx context.Context, c *credentialCache) *Error {
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		w := c.provider.messages()
		e := c.session.errorf(w.op, CodeUnavailable, "%s; try again", w.pending)
		e.RetryAfter = time.Second
		e.Err = ctx.Err()
		return e
	}
}

// startOrJoin returns the renewal going on, or starts one to replace cred, which the caller saw;
// where cred was replaced meanwhile there is nothing to wait for, and both results are nil.
// asked says that a request wants it, rather than the scheduler. Where no renewal is to
// be had it says why.
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

// runRefresh is the one renewal of a supply: it runs on the agent's life, so no caller can
// interrupt it.
func (c *credentialCache) runRefresh(call *refreshCall) {
	started := time.Now()
	err := c.provider.refresh(call.replaces)
	c.session.mu.Lock()
	call.err, c.inFlight = err, nil
	c.provider.recordLocked(err)
	c.session.mu.Unlock()
	c.report(err, time.Since(started))
	close(call.done)
	c.session.agent.wakeScheduler()
}

func (c *credentialCache) report(err *Error, took time.Duration) {
	w := c.provider.messages()
	log := c.session.agent.log.With("op", w.logOp, "env", c.session.name, "duration", took.Round(time.Millisecond))
	if err == nil {
		log.Info(w.refreshed)
		return
	}
	log.Warn(w.failed, "code", string(err.Code), "error", err.Error(), "cause", causeOf(err))
}
