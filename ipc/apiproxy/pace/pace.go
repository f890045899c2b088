// Package pace keeps the requests of a whole machine within the limit of an API, which
// counts them for each source address: no program can see what the others send, the agent
// can.
//
//	p := pace.New(logger)
//	p.Configure(environments)                                    // api_rate of config.toml
//	turn, err := p.Acquire(ctx, pace.Request{APIURL: url, Wait: wait})
//	…                                                            // send the request
//	turn.Done(response)                                          // nil if there was no answer
//
// There is one budget for each API: scheme, host and port of api_url, for all environments
// and clients. The path does not count, because the API's firewall counts before it looks at
// paths. A budget is learned from the X-RateLimit headers of the API's answers and from its
// 429s, and api_rate bounds it as well. If environments with one API have different rates,
// the smallest holds. Nothing is learned from an API that sends neither, and its requests
// wait for nothing.
//
// While a budget is spent, Acquire returns an error (CodeThrottled, with RetryAfter). A
// request that may wait queues, and gets its turn in a fair order: the sockets take turns,
// on each of them its processes do, and the requests of one process go in the order in which
// they came. Waiting requests go before those that came without a wait. Not more than
// maxParallel requests of a queue are on their way at once, so that a new window does not
// begin with a thousand connections.
//
// A queue is bounded: see maxQueued. What an API says is not trusted far: a limit that makes
// no sense is ignored, and no answer stops requests for more than maxPause. Times are
// corrected by the API's Date header if this machine's clock is wrong.
package pace

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

const (
	// maxQueued is how many requests may wait in one Pacer. Each has a connection, which
	// takes about 30 KiB.
	maxQueued = 8192
	// maxQueuedNamed is the same for a named socket: the programs behind it must not keep
	// those of the user out.
	maxQueuedNamed = 1024
	// maxHeld is how many bytes of bodies may wait.
	maxHeld = 32 << 20
	// maxParallel is how many requests are on their way when a waiting one gets its turn.
	maxParallel = 64
	// MaxWait is the longest wait of a request.
	MaxWait = time.Hour

	// hangUpInterval is how often a waiting client that cannot be watched is looked at.
	hangUpInterval = time.Second
)

// A Client is who sends a request: the name of its socket, "" for the agent's own, and its
// process, 0 if that is not known.
type Client struct {
	Socket string
	PID    int
}

// A Request is a request to an API that wants to be sent.
type Request struct {
	APIURL string
	Client Client
	// Wait is how long the request may wait for its turn; 0 means not at all.
	Wait time.Duration
	// Held is how many bytes of its body are in memory.
	Held int
	// Again is set if the request had its turn before, and was answered 429: it waits at the
	// head of its process's queue.
	Again bool
	// HungUp, if it is not nil, reports whether the client is gone, which the context of a
	// request whose body is not read does not tell.
	HungUp func() bool
	// Stopping is closed when nothing may wait any longer; nil never is.
	Stopping <-chan struct{}
}

// A Pacer has the budgets of all APIs. Its methods may be called at the same time.
type Pacer struct {
	log *slog.Logger

	mu      sync.Mutex
	byURL   map[string]*budget // by api_url, so that a request does not parse it
	budgets map[origin.Origin]*budget
	shares  map[string]*rateLog // of sockets, by name
	queued  map[string]int      // waiting requests of each socket
	total   int                 // of them all
	held    int                 // the bytes that they hold
}

// New returns a Pacer that knows no API yet and logs warnings to logger.
func New(logger *slog.Logger) *Pacer {
	return &Pacer{
		log: logger, byURL: map[string]*budget{}, budgets: map[origin.Origin]*budget{},
		shares: map[string]*rateLog{}, queued: map[string]int{},
	}
}

// Configure sets the rates of environments, in the place of all that were set before. What
// was learned stays, and requests that wait are looked at again.
func (p *Pacer) Configure(environments []agent.Environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rates := map[*budget]agent.Rate{}
	for _, b := range p.budgets {
		b.environments = nil
	}
	for _, e := range environments {
		b := p.budgetLocked(e.APIURL)
		b.environments = append(b.environments, e.Name)
		rates[b] = smaller(rates[b], e.APIRate)
	}
	for _, b := range p.budgets {
		b.rate.set(rates[b])
		b.dispatchLocked(time.Now())
	}
	p.forgetLocked()
}

// smaller returns the smaller one of two rates. The zero rate is no limit.
func smaller(a, b agent.Rate) agent.Rate {
	if a == (agent.Rate{}) {
		return b
	}
	if b != (agent.Rate{}) && float64(b.Count)*a.Per.Seconds() < float64(a.Count)*b.Per.Seconds() {
		return b
	}
	return a
}

// forgetLocked drops the budgets that no environment has and no request uses.
func (p *Pacer) forgetLocked() {
	for key, b := range p.budgets {
		if b.environments == nil && b.inFlight == 0 && b.queue.len() == 0 {
			delete(p.budgets, key)
		}
	}
	for url, b := range p.byURL {
		if p.budgets[b.origin] != b {
			delete(p.byURL, url)
		}
	}
}

// SetShare bounds what a named socket may send to each API, whatever is left of its budget;
// the zero rate is no bound. Its requests count against the API's budget as well, and those
// that wait let other sockets' requests go first.
func (p *Pacer) SetShare(socket string, rate agent.Rate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rate == (agent.Rate{}) {
		delete(p.shares, socket)
	} else {
		if p.shares[socket] == nil {
			p.shares[socket] = &rateLog{}
		}
		p.shares[socket].set(rate)
	}
	for _, b := range p.budgets {
		b.dispatchLocked(time.Now())
	}
}

// budgetLocked returns the budget for an api_url. A URL that is none has a budget, too:
// somebody else refuses it.
func (p *Pacer) budgetLocked(apiURL string) *budget {
	if b := p.byURL[apiURL]; b != nil {
		return b
	}
	o, err := origin.Parse(apiURL)
	if err != nil {
		o = origin.Origin{Host: apiURL}
	}
	b := p.budgets[o]
	if b == nil {
		b = &budget{pacer: p, origin: o, remaining: unlimited, unheard: true}
		p.budgets[o] = b
	}
	p.byURL[apiURL] = b
	return b
}

// A Turn is the permission to send one request. The zero Turn is none.
type Turn struct {
	budget *budget
	waited bool
}

// Waited reports whether the request had to wait for it.
func (t Turn) Waited() bool { return t.waited }

// Acquire returns when the request may be sent. Otherwise the error is an [agent.Error]:
// CodeThrottled if the budget is spent, or remains so for the request's Wait, and
// CodeUnavailable if the client hung up or the agent stops. The caller calls Done for every
// Turn.
func (p *Pacer) Acquire(ctx context.Context, r Request) (Turn, error) {
	now := time.Now()
	p.mu.Lock()
	b := p.budgetLocked(r.APIURL)
	if b.queue.len() > 0 {
		b.dispatchLocked(now) // the time of some may have come a moment ago
	}
	if b.admitsLocked(now, r) {
		b.takeLocked(now, r.Client.Socket)
		note := b.noteLocked(now)
		p.mu.Unlock()
		p.write(note)
		return Turn{budget: b}, nil
	}
	if r.Wait <= 0 {
		defer p.mu.Unlock()
		return Turn{}, b.refuseLocked(now, r)
	}
	w, err := p.enqueueLocked(now, b, r)
	p.mu.Unlock()
	if err != nil {
		return Turn{}, err
	}
	return p.wait(ctx, w, r)
}

// enqueueLocked adds a request to the queue, if there is room for it.
func (p *Pacer) enqueueLocked(now time.Time, b *budget, r Request) (*waiter, error) {
	bound := maxQueued
	if r.Client.Socket != "" {
		bound = maxQueuedNamed
	}
	if p.queued[r.Client.Socket] >= bound || p.total >= maxQueued || p.held+r.Held > maxHeld {
		return nil, b.errQueueFullLocked(now)
	}
	w := &waiter{budget: b, client: r.Client, held: r.Held, ready: make(chan struct{})}
	b.queue.add(w, r.Again)
	p.countLocked(w, 1)
	b.dispatchLocked(now)
	return w, nil
}

// countLocked counts a waiter that comes (1) or goes (-1).
func (p *Pacer) countLocked(w *waiter, by int) {
	p.total += by
	p.held += by * w.held
	if p.queued[w.client.Socket] += by; p.queued[w.client.Socket] == 0 {
		delete(p.queued, w.client.Socket)
	}
}

// wait waits for the turn of w.
func (p *Pacer) wait(ctx context.Context, w *waiter, r Request) (Turn, error) {
	timer := time.NewTimer(min(r.Wait, MaxWait))
	defer timer.Stop()
	var look <-chan time.Time
	if r.HungUp != nil {
		ticker := time.NewTicker(hangUpInterval)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case <-w.ready:
			t := Turn{budget: w.budget, waited: true}
			if ctx.Err() != nil || r.HungUp != nil && r.HungUp() {
				t.Done(nil)
				return Turn{}, errHungUp()
			}
			return t, nil
		case <-ctx.Done():
			p.abandon(w)
			return Turn{}, errHungUp()
		case <-r.Stopping:
			p.abandon(w)
			return Turn{}, unavailable("the agent is stopping")
		case <-look:
			if r.HungUp() {
				p.abandon(w)
				return Turn{}, errHungUp()
			}
		case <-timer.C:
			if p.leave(w) {
				return Turn{}, w.budget.refuse(r)
			}
			return Turn{budget: w.budget, waited: true}, nil
		}
	}
}

// leave takes w out of the queue. It returns false if w has its turn already.
func (p *Pacer) leave(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.granted {
		return false
	}
	w.budget.queue.remove(w)
	p.countLocked(w, -1)
	return true
}

// abandon takes w out of the queue, or gives its turn back.
func (p *Pacer) abandon(w *waiter) {
	if !p.leave(w) {
		Turn{budget: w.budget}.Done(nil)
	}
}

// Done says that the request was answered, by res, or that it was not sent or not answered,
// if res is nil. It is called before the body of res is read: of a 429 it looks at the
// body, and adds the Retry-After header that is missing.
func (t Turn) Done(res *http.Response) {
	b := t.budget
	if b == nil {
		return
	}
	now := time.Now()
	heard := read(res, now)
	p := b.pacer
	p.mu.Lock()
	b.inFlight--
	wait := b.learnLocked(now, heard)
	b.dispatchLocked(now)
	note := b.noteLocked(now)
	p.mu.Unlock()
	p.write(note)
	if heard.refused && res.Header.Get("Retry-After") == "" {
		res.Header.Set("Retry-After", strconv.Itoa(seconds(min(wait, maxTold))))
	}
}

// A note is a line for the log, written when no lock is held.
type note struct {
	message string
	attrs   []any
}

func (p *Pacer) write(n note) {
	if n.message != "" {
		p.log.Warn(n.message, n.attrs...)
	}
}

// Status describes the budgets of which something is known, in ascending order of their
// APIs.
func (p *Pacer) Status() []agent.APIBudget {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []agent.APIBudget
	for _, b := range p.budgets {
		if s, ok := b.statusLocked(now); ok {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b agent.APIBudget) int { return strings.Compare(a.API, b.API) })
	return all
}
