package approval

import (
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
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
	Uses        int       `json:"uses,omitempty"`   // since the start
	UsedAt      time.Time `json:"used_at,omitzero"` // the same

	leader Leader
	api    agent.Policy
	saved  bool          // a standing grant has been on the disk
	left   time.Duration // at the time that Approvals.seen says
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
