package approval

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
)

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

// unanswered counts the requests of a subject that nobody answered.
type unanswered struct {
	count int
	last  time.Time
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
