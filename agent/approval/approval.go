// Package approval lets a person say once which program may use a sign-in.
//
// An environment or a socket with `confirm = true` answers no program that nobody has
// approved. A program asks with [Approvals.Check], which waits for an answer as long as the
// request may, and otherwise returns an error with a code to type:
//
//	grant, err := approvals.Check(ctx, asker, approval.Use{Environment: "prod", Kind: approval.KindToken})
//	pending := approvals.List().Pending                                        // what a person is shown
//	g, err := approvals.Approve("7F3K", approval.Terms{For: 30 * time.Minute}) // they said yes
//	g, err = approvals.ApproveUnit(approval.Standing{…})                       // for each run of a unit
//	err = approvals.Revoke(g.ID)
//
// A grant is for one environment, socket and [Kind], and for the session of a terminal, the
// main process of a service, or a unit: see [Subject]. So 300 calls of a script need one
// approval, and the next terminal needs its own.
//
// Who is asked about is what package peer says of the process that connected, whatever the
// program says of itself. It is no boundary between processes of one user: each of them can
// type the answer as well as you, unless a passphrase is asked for it.
package approval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/internal/bootclock"
)

const (
	// pendingFor is how long a request can be approved.
	pendingFor = 5 * time.Minute
	// maxPending bounds the requests that can be approved at one time.
	maxPending = 64
	// DefaultFor is how long a grant holds, MaxFor how long one of a session may, and MaxStanding
	// one of a unit.
	DefaultFor  = 30 * time.Minute
	MaxFor      = 24 * time.Hour
	MaxStanding = 365 * 24 * time.Hour
	// quietAfter is how many requests of one subject wait and are announced without an answer.
	// Those after them are refused at once.
	quietAfter = 2
	// saveEvery is how often the time that was counted is saved while there are standing grants.
	saveEvery = time.Hour
	// quietFor is how long a subject that nobody answered stays so.
	quietFor = time.Hour
)

// A Kind is what a grant is for.
type Kind string

// The kinds. One does not include another.
const (
	KindToken  Kind = "token"  // ID tokens, in every format and for every helper
	KindAccess Kind = "access" // access tokens, which can change the account
	KindAWS    Kind = "aws"    // AWS credentials
	KindAPI    Kind = "api"    // requests to the API, by method and path
)

// Kinds are all of them.
var Kinds = []Kind{KindToken, KindAccess, KindAWS, KindAPI}

// A Use is what a program wants to do.
type Use struct {
	Environment string `json:"environment"`
	Socket      string `json:"socket,omitempty"` // "" is the agent's own
	Kind        Kind   `json:"kind"`
	Method      string `json:"method,omitempty"` // of a request to the API
	Path        string `json:"path,omitempty"`   // the same, escaped as it is sent
	Query       string `json:"-"`
}

// String returns "a token of prod" or "POST /kyc at the API of prod, on the socket ai".
func (u Use) String() string {
	s := "a token of " + u.Environment
	switch u.Kind {
	case KindAccess:
		s = "the access token of " + u.Environment + " (it can change the account)"
	case KindAWS:
		s = "AWS credentials of " + u.Environment
	case KindAPI:
		s = cmp.Or(u.Method, "any method") + " " + cmp.Or(u.Path, "any path") + " at the API of " + u.Environment
	}
	if u.Socket != "" {
		s += ", on the socket " + u.Socket
	}
	return s
}

// A Request is a use that waits for a person's answer.
type Request struct {
	ID      string     `json:"id"`
	Use     Use        `json:"use"`
	User    string     `json:"user,omitempty"` // who is signed in
	Subject Subject    `json:"subject"`
	Facts   peer.Facts `json:"facts"` // of the process that asked
	AskedAt time.Time  `json:"asked_at"`
	EndsAt  time.Time  `json:"ends_at"`

	leader   Leader        // nil if the subject is a unit
	answered chan struct{} // closed when state is no longer pending
	state    state
	exact    agent.Policy // of an API request: this one and no other
}

// A state is what became of a request.
type state string

const (
	pending  state = ""
	approved state = "approved"
	denied   state = "denied"
	expired  state = "expired"
	ended    state = "ended" // its session
)

// A Grant allows a use.
type Grant struct {
	ID          string    `json:"id"`
	Environment string    `json:"environment"`
	Socket      string    `json:"socket,omitempty"`
	Kind        Kind      `json:"kind"`
	Methods     []string  `json:"methods,omitempty"` // empty means all
	Paths       []string  `json:"paths,omitempty"`   // empty means all
	Subject     Subject   `json:"subject"`
	Standing    bool      `json:"standing,omitempty"` // kept over a restart
	GrantedAt   time.Time `json:"granted_at"`
	EndsAt      time.Time `json:"ends_at"`
	Uses        int       `json:"uses,omitempty"` // since the start
	UsedAt      time.Time `json:"used_at,omitzero"`

	leader Leader
	api    agent.Policy
	saved  bool          // a standing grant has been on the disk
	left   time.Duration // at the time that Approvals.seen says
}

// An Asker is the process that asks: a [peer.Peer] behind [Of].
type Asker interface {
	Facts() (peer.Facts, error)
	PinLeader() (Leader, error)
}

// A Leader is a process that cannot be confused with a later one of its number.
type Leader interface {
	Alive() bool
	Close()
}

// Of makes an Asker of p.
func Of(p *peer.Peer) Asker { return process{p} }

type process struct{ peer *peer.Peer }

func (p process) Facts() (peer.Facts, error) { return p.peer.Facts() }
func (p process) PinLeader() (Leader, error) { return p.peer.PinLeader() }

// An Event is something to note in the audit log.
type Event struct {
	Kind  EventKind
	Use   Use
	Facts peer.Facts // zero for a standing grant
	Grant string
}

// An EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	Asked    EventKind = "asked"    // a request waits for an answer
	Approved EventKind = "approved" // a person said yes
	Denied   EventKind = "denied"   // a person said no, or took a grant back
	Refused  EventKind = "refused"  // a use was refused, because nobody has approved it
)

// Options are what Approvals need. All of them may be left out.
type Options struct {
	// Dir is the folder of the standing grants; without it there are none.
	Dir string
	// User returns who is signed in to an environment, for people.
	User func(environment string) string
	// Refuse returns why nothing is answered at all, or nil: nobody is asked for an approval then.
	Refuse func() error
	// Announce tells the person of a request. It must not block.
	Announce func(Request)
	// Record notes an event. It must not block. An error keeps a grant from being made.
	Record func(Event) error
	Logger *slog.Logger
}

// Approvals are the requests and grants of one agent.
type Approvals struct {
	opts Options
	log  *slog.Logger

	mu         sync.Mutex
	confirm    []string // the environments that need a grant
	pending    []*Request
	past       []*Request // that have been answered or have ended, the newest last
	grants     []*Grant
	unanswered map[Subject]*unanswered
	revoked    map[string]bool // the standing grants taken back here, by their codes
	damaged    error           // why the file of standing grants is not written
	seen       bootclock.Seen  // up to when the time of the grants was counted
	savedAt    bootclock.Mark  // when that was last on the disk
	write      func(dir string, data []byte) error
}

// unanswered counts the requests of a subject that nobody answered.
type unanswered struct {
	count int
	last  time.Time
}

// New returns Approvals with the standing grants of opts.Dir. If they cannot be read, there are
// none, and a log line says why.
func New(opts Options) *Approvals {
	a := &Approvals{opts: opts, log: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)), unanswered: map[Subject]*unanswered{}, revoked: map[string]bool{}, write: writeFile}
	there, err := readGrants(opts.Dir)
	if a.grants, a.damaged, a.seen = there.grants, err, there.seen; err != nil {
		a.log.Error("the standing approvals are not in force", "error", a.damaged)
	}
	return a
}

// Configure sets the environments that need a grant on every socket.
func (a *Approvals) Configure(environments []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.confirm = slices.Clone(environments)
}

// Required reports whether an environment needs a grant on every socket.
func (a *Approvals) Required(environment string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.confirm, environment)
}

// Check returns the grant by which asker may do what use says. Without one it asks for it, and
// waits for the answer until ctx ends. The error then has the code CodeApprovalRequired, and
// CodeDenied if the answer is no.
func (a *Approvals) Check(ctx context.Context, asker Asker, use Use) (grant string, err error) {
	if err := a.refuse(); err != nil {
		return "", err
	}
	facts, err := asker.Facts()
	if err != nil {
		return "", refusedError(use, "it cannot be told which program asks: "+cause(err), "")
	}
	r, id, err := a.ask(asker, facts, use)
	if err != nil || id != "" {
		return id, err
	}
	if !a.isQuiet(r.Subject) {
		select {
		case <-r.answered:
		case <-ctx.Done():
			a.countUnanswered(r)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count()
	if g := a.grantFor(r.Subject, facts.Unit, use); g != nil {
		return g.use(), nil
	}
	if err := a.refuse(); err != nil {
		return "", err // since it asked
	}
	a.record(Event{Kind: Refused, Use: use, Facts: facts})
	return "", r.refusal()
}

func (a *Approvals) refuse() error {
	if a.opts.Refuse == nil {
		return nil
	}
	return a.opts.Refuse()
}

// ask returns the grant, or else the request for one, which is that of an earlier call if that
// is not answered yet.
func (a *Approvals) ask(asker Asker, facts peer.Facts, use Use) (*Request, string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	subject := subjectOf(facts)
	if g := a.grantFor(subject, facts.Unit, use); g != nil {
		return nil, g.use(), nil
	}
	if subject == (Subject{}) {
		a.record(Event{Kind: Refused, Use: use, Facts: facts})
		return nil, "", refusedError(use, "this program cannot be approved: its session has no leader that runs, and it is in no unit",
			"start it in a terminal or by systemd")
	}
	for _, r := range a.pending {
		if r.isFor(subject, use) {
			return r, "", nil
		}
	}
	if denied := a.deniedBefore(subject, use); denied != nil {
		a.record(Event{Kind: Refused, Use: use, Facts: facts})
		return nil, "", denied.refusal()
	}
	if len(a.pending) >= maxPending {
		return nil, "", refusedError(use, fmt.Sprintf("%d requests wait for an approval", len(a.pending)), "see them with: kyc-agentd approvals")
	}
	r, err := a.newRequest(asker, facts, subject, use)
	if err != nil {
		return nil, "", err
	}
	a.pending = append(a.pending, r)
	a.record(Event{Kind: Asked, Use: use, Facts: facts, Grant: r.ID})
	if a.opts.Announce != nil && !a.quiet(subject) {
		a.opts.Announce(*r)
	}
	return r, "", nil
}

func (r *Request) isFor(subject Subject, use Use) bool {
	use.Query = ""
	return r.Subject == subject && r.Use == use
}

// newRequest makes a request, whose session leader is pinned.
func (a *Approvals) newRequest(asker Asker, facts peer.Facts, subject Subject, use Use) (*Request, error) {
	now := time.Now()
	r := &Request{ID: a.newID(), Use: use, Subject: subject, Facts: facts, AskedAt: now, EndsAt: now.Add(pendingFor), answered: make(chan struct{})}
	if use.Kind == KindAPI {
		var err error
		if r.exact, err = exactly(use); err != nil {
			return nil, err
		}
	}
	r.Use.Query = "" // a path is approved with any
	if subject.Kind == SubjectSession {
		leader, err := asker.PinLeader()
		if err != nil {
			return nil, refusedError(use, "its session has ended", "")
		}
		r.leader = leader
	}
	if a.opts.User != nil {
		r.User = a.opts.User(use.Environment)
	}
	return r, nil
}

// exactly returns the policy that allows one request to the API.
func exactly(use Use) (agent.Policy, error) {
	path, err := agent.LiteralPath(use.Path)
	if err != nil {
		return agent.Policy{}, &agent.Error{Code: agent.CodeDenied, Op: "approval", Environment: use.Environment, Message: "this request cannot be approved: " + err.Error()}
	}
	p := agent.Policy{
		Socket: use.Socket, Environments: []string{use.Environment}, Allow: []agent.Access{agent.AccessAPI},
		Methods: []string{use.Method}, Paths: []agent.PathPattern{path},
	}
	return p, p.CheckAPI(use.Environment, use.Method, use.Path, use.Query)
}

// grantFor returns a grant for use, or nil. Its session leader still runs.
func (a *Approvals) grantFor(subject Subject, unit peer.Unit, use Use) *Grant {
	for _, g := range a.grants {
		if g.allows(use) && g.isFor(subject, unit) && !g.over() {
			return g
		}
	}
	return nil
}

func (g *Grant) isFor(subject Subject, unit peer.Unit) bool {
	if g.Subject.Kind == SubjectUnit {
		return !unit.IsZero() && g.Subject.Unit == unit
	}
	return g.Subject == subject
}

func (g *Grant) allows(use Use) bool {
	if g.Environment != use.Environment || g.Socket != use.Socket || g.Kind != use.Kind {
		return false
	}
	return g.Kind != KindAPI || g.api.CheckAPI(use.Environment, use.Method, use.Path, use.Query) == nil
}

func (g *Grant) use() string {
	g.Uses++
	g.UsedAt = time.Now()
	return g.ID
}

func (a *Approvals) isQuiet(s Subject) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.quiet(s)
}

func (a *Approvals) quiet(s Subject) bool {
	u := a.unanswered[s]
	return u != nil && u.count >= quietAfter && time.Since(u.last) < quietFor
}

// countUnanswered counts a request that ended its wait without an answer.
func (a *Approvals) countUnanswered(r *Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.unanswered[r.Subject]
	if u == nil {
		u = new(unanswered)
		a.unanswered[r.Subject] = u
	}
	u.count++
	u.last = time.Now()
}

// sweep ends requests and grants whose time is over, or whose session has ended.
func (a *Approvals) sweep() {
	a.count()
	now := time.Now()
	for _, r := range slices.Clone(a.pending) {
		switch {
		case r.leader != nil && !r.leader.Alive():
			a.finish(r, ended)
		case !now.Before(r.EndsAt):
			a.finish(r, expired)
		}
	}
	a.grants = slices.DeleteFunc(a.grants, func(g *Grant) bool {
		over := g.over()
		if over {
			g.close()
		}
		return over
	})
	a.saveSeen(saveEvery)
	for s, u := range a.unanswered {
		if now.Sub(u.last) >= quietFor {
			delete(a.unanswered, s)
		}
	}
}

func (g *Grant) close() {
	if g.leader != nil {
		g.leader.Close()
	}
}

// finish takes r from the requests that can be approved. The leader of an approved one goes on
// to the grant.
func (a *Approvals) finish(r *Request, state state) {
	a.pending = slices.DeleteFunc(a.pending, func(o *Request) bool { return o == r })
	r.state = state
	if r.leader != nil && state != approved {
		r.leader.Close()
	}
	close(r.answered)
	a.past = append(a.past, r)
	if len(a.past) > maxPending {
		a.past = a.past[1:]
	}
}

// deniedBefore returns the request of the same use that a person has denied within its time.
func (a *Approvals) deniedBefore(subject Subject, use Use) *Request {
	for _, r := range a.past {
		if r.state == denied && r.isFor(subject, use) && time.Now().Before(r.EndsAt) {
			return r
		}
	}
	return nil
}

func (a *Approvals) record(e Event) {
	if a.opts.Record != nil {
		_ = a.opts.Record(e) // without an answer there is nothing to keep back
	}
}

// refusal is the error for a request that is not approved.
func (r *Request) refusal() error {
	switch r.state {
	case denied:
		return &agent.Error{Code: agent.CodeDenied, Op: "approval", Environment: r.Use.Environment, Message: "this was not approved, when kyc-agentd approve " + r.ID + " asked"}
	case expired, ended:
		return refusedError(r.Use, "it was not approved in time", "try again")
	}
	return refusedError(r.Use, "approve with: kyc-agentd approve "+r.ID, "")
}

func refusedError(use Use, message, hint string) error {
	return &agent.Error{Code: agent.CodeApprovalRequired, Op: "approval", Environment: use.Environment, Message: message, Hint: hint}
}

func cause(err error) string {
	if errors.Is(err, errors.ErrUnsupported) {
		return "this system does not say"
	}
	return err.Error()
}
