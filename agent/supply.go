package agent

import (
	"context"
	"sync/atomic"
	"time"
)

// A supply is what a session hands out of memory and has renewed ahead of its end. There
// are two of them: the ID token, and the AWS credentials that are made with it. Requests
// that find enough life left read only held and write only used.
type supply struct {
	s  *session
	of source

	held atomic.Pointer[held]
	used atomic.Int64 // when a request last asked, wall clock, Unix nanoseconds

	// Guarded by the session's mu.
	flight *flight // the renewal going on, or nil
	fail   failure // of renewing
}

// A source is how the two supplies differ.
type source interface {
	// margins are the time before the end of h from which on it is to be renewed, and
	// the life below which a request waits for that.
	margins(h *held) (ahead, short time.Duration)
	// refusalLocked says why there is nothing to be had without a person, or is nil when
	// it may be tried. The caller holds the session's mu.
	refusalLocked() *Error
	// renew puts something newer than h into memory, unless somebody else did.
	renew(h *held) *Error
	// noteLocked keeps count of how renewals end. The caller holds the session's mu.
	noteLocked(*Error)
	words() words
}

// words are what a supply is called.
type words struct {
	op      string // of its errors: "token"
	logOp   string // of its log records: "refresh"
	life    string // "an ID token's life"
	going   string // "the refresh at Cognito is still going on"
	renewed string // for the log: "ID token refreshed"
	failed  string // for the log: "no refresh"
}

// get returns what has minValid left and is not about to end. While more than the margin
// is left, that is a read of one pointer.
func (p *supply) get(ctx context.Context, minValid time.Duration) (*held, error) {
	if minValid < 0 {
		return nil, p.s.errorf(p.of.words().op, CodeUsage, "min_valid %s is below zero", minValid)
	}
	now := p.s.a.now()
	h := p.held.Load()
	p.touch(h, now)
	if h != nil && h.left(now) > p.ahead(h) && h.left(now) >= minValid {
		return h, nil
	}
	return p.getSoon(ctx, h, minValid)
}

// getSoon answers a request that finds h inside the margin, dead, or nil. It starts the
// renewal, and waits for it only when h cannot serve meanwhile.
func (p *supply) getSoon(ctx context.Context, h *held, minValid time.Duration) (*held, error) {
	now := p.s.a.now()
	if err := p.beyond(h, now, minValid); err != nil {
		return nil, err
	}
	f, failed := p.join(h, true)
	if h != nil && h.left(now) >= max(minValid, p.short(h)) {
		return h, nil
	}
	if f != nil {
		failed = f.wait(ctx, p)
	}
	return p.settle(minValid, failed)
}

// settle answers with what memory holds after a renewal ended or was not to be had.
func (p *supply) settle(minValid time.Duration, failed *Error) (*held, error) {
	now, h := p.s.a.now(), p.held.Load()
	if h.usable(now, minValid) {
		p.touch(h, now)
		return h, nil
	}
	if failed != nil {
		return nil, failed
	}
	if err := p.beyond(h, now, minValid); err != nil {
		return nil, err
	}
	// The sign-in went away, or the configuration changed, while we waited.
	return nil, p.s.notSignedIn(p.of.words().op)
}

// beyond refuses a min_valid that nothing of this supply can meet, so that asking for it
// over and over costs no calls.
func (p *supply) beyond(h *held, now time.Time, minValid time.Duration) error {
	if h == nil || minValid <= h.left(now) || minValid <= h.lifetime && !h.young(now) {
		return nil
	}
	w := p.of.words()
	return p.s.errorf(w.op, CodeUsage, "min_valid %s is more than %s of %s; ask for less", minValid, w.life, h.lifetime)
}

func (p *supply) ahead(h *held) time.Duration {
	ahead, _ := p.of.margins(h)
	return ahead
}

func (p *supply) short(h *held) time.Duration {
	_, short := p.of.margins(h)
	return short
}

// touch notes that h is in demand. The first request since it was issued wakes the
// scheduler, which then plans its renewal.
func (p *supply) touch(h *held, now time.Time) {
	before := p.used.Swap(now.UnixNano())
	if h != nil && before < h.wall.UnixNano() {
		p.s.a.nudge()
	}
}

// inDemand reports whether h was used since it was issued, and not longer ago than one
// of its lives.
func (p *supply) inDemand(h *held, now time.Time) bool {
	used := time.Unix(0, p.used.Load())
	return !used.Before(h.wall) && now.Sub(used) <= h.lifetime
}

// due is how long until the renewal of h starts by itself; 0 or less is now.
func (p *supply) due(h *held, now time.Time) time.Duration {
	return h.left(now) - p.ahead(h) - h.spread
}

// look starts a renewal that is due and says how long until it wants to look again; 0 is
// never.
func (p *supply) look() time.Duration {
	h, now := p.held.Load(), p.s.a.now()
	if h == nil || !p.inDemand(h, now) {
		return 0
	}
	if d := p.due(h, now); d > 0 {
		return d
	}
	p.s.mu.Lock()
	pause := p.fail.wait(now, false)
	p.s.mu.Unlock()
	if pause > 0 {
		return pause
	}
	_, _ = p.join(h, false) // a flight wakes us when it ends; a refusal needs a person
	return 0
}

// A flight is one renewal, shared by all who wait for it.
type flight struct {
	replaces *held // what was in memory when it was started
	done     chan struct{}
	err      *Error // read after done is closed
}

// wait returns the flight's error, or one that says that ctx ended first. The
// flight goes on regardless.
func (f *flight) wait(ctx context.Context, p *supply) *Error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		w := p.of.words()
		e := p.s.errorf(w.op, CodeUnavailable, "%s; try again", w.going)
		e.RetryAfter = time.Second
		e.Err = ctx.Err()
		return e
	}
}

// join returns the renewal going on, or starts one to replace h, which the caller saw;
// where h was replaced meanwhile there is nothing to wait for, and both results are nil.
// asked says that a request wants it, rather than the scheduler. Where no renewal is to
// be had it says why.
func (p *supply) join(h *held, asked bool) (*flight, *Error) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.flight != nil {
		return p.flight, nil
	}
	if now := p.held.Load(); now != h && now != nil {
		return nil, nil
	}
	if err := p.of.refusalLocked(); err != nil {
		return nil, err
	}
	if pause := p.fail.wait(s.a.now(), asked); pause > 0 {
		return nil, p.fail.again(pause)
	}
	f := &flight{replaces: h, done: make(chan struct{})}
	if !s.a.begin(func() { p.fly(f) }) {
		return nil, s.errorf(p.of.words().op, CodeUnavailable, "the agent is stopping; try again")
	}
	p.flight = f
	return f, nil
}

// fly is the one renewal of a supply: it runs on the agent's life, so no caller can
// interrupt it.
func (p *supply) fly(f *flight) {
	started := time.Now()
	err := p.of.renew(f.replaces)
	p.s.mu.Lock()
	f.err, p.flight = err, nil
	p.of.noteLocked(err)
	p.s.mu.Unlock()
	p.report(err, time.Since(started))
	close(f.done)
	p.s.a.nudge()
}

func (p *supply) report(err *Error, took time.Duration) {
	w := p.of.words()
	log := p.s.a.log.With("op", w.logOp, "env", p.s.name, "duration", took.Round(time.Millisecond))
	if err == nil {
		log.Info(w.renewed)
		return
	}
	log.Warn(w.failed, "code", string(err.Code), "error", err.Error(), "cause", causeOf(err))
}
