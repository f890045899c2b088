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
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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

	confirm atomic.Pointer[[]string] // the environments that need a grant; read at every request

	mu         sync.Mutex
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
	own := slices.Clone(environments)
	a.confirm.Store(&own)
}

// required returns the environments that need a grant on every socket.
func (a *Approvals) required() []string {
	if all := a.confirm.Load(); all != nil {
		return *all
	}
	return nil
}

// Required reports whether an environment needs a grant on every socket.
func (a *Approvals) Required(environment string) bool {
	return slices.Contains(a.required(), environment)
}

// RequiredAnywhere reports whether any environment needs one.
func (a *Approvals) RequiredAnywhere() bool { return len(a.required()) > 0 }

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

func (a *Approvals) record(e Event) {
	if a.opts.Record != nil {
		_ = a.opts.Record(e) // without an answer there is nothing to keep back
	}
}
