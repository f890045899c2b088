package approval

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// Terms are what a person adds to a yes.
type Terms struct {
	For time.Duration // 0 is DefaultFor
	// Methods and Paths are what of the API is allowed, and Any allows all of it. Without them it
	// is the method and the path of the request.
	Methods, Paths []string
	Any            bool
}

// A Standing is a grant for each run of a unit.
type Standing struct {
	Unit           peer.Unit
	Environment    string
	Socket         string
	Kind           Kind // "" is KindToken
	Methods, Paths []string
	For            time.Duration
}

// A Listing is what there is.
type Listing struct {
	Pending []Request `json:"pending"`
	Granted []Grant   `json:"granted"`
}

// List returns the requests, and the grants that hold, each the oldest first.
func (a *Approvals) List() Listing {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	l := Listing{Pending: []Request{}, Granted: []Grant{}}
	for _, r := range a.pending {
		l.Pending = append(l.Pending, *r)
	}
	for _, g := range a.grants {
		l.Granted = append(l.Granted, *g)
	}
	return l
}

// Approve answers a request with yes.
func (a *Approvals) Approve(id string, terms Terms) (Grant, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.find(id)
	if err != nil {
		return Grant{}, err
	}
	g := &Grant{ID: r.ID, Environment: r.Use.Environment, Socket: r.Use.Socket, Kind: r.Use.Kind, Subject: r.Subject, leader: r.leader, api: r.exact}
	if err := g.setTerms(r.Use, terms); err != nil {
		return Grant{}, err
	}
	if err := g.setTime(terms.For, MaxFor); err != nil {
		return Grant{}, err
	}
	if err := a.noteApproved(Event{Kind: Approved, Use: r.Use, Facts: r.Facts, Grant: g.ID}); err != nil {
		return Grant{}, err
	}
	a.grants = append(a.grants, g)
	delete(a.unanswered, r.Subject)
	a.finish(r, approved)
	return *g, nil
}

// setTerms sets what of the API a grant allows. Its policy allows the request and no other.
func (g *Grant) setTerms(use Use, terms Terms) error {
	some := len(terms.Methods) > 0 || len(terms.Paths) > 0
	switch {
	case g.Kind != KindAPI && (terms.Any || some):
		return answerError("methods and paths are about requests to the API, and this is " + use.String())
	case g.Kind != KindAPI:
		return nil
	case terms.Any && some:
		return answerError("choose some methods and paths, or all of them")
	case terms.Any:
		return g.setAPI(nil, nil)
	}
	exact := g.api
	if len(terms.Methods) == 0 {
		terms.Methods = exact.Methods
	}
	if err := g.setAPI(terms.Methods, terms.Paths); err != nil {
		return err
	}
	if len(terms.Paths) == 0 {
		g.Paths, g.api.Paths = []string{use.Path}, exact.Paths
	}
	if !g.allows(use) {
		return answerError("these methods and paths do not allow the request itself: " + use.String())
	}
	return nil
}

// setAPI sets the methods and paths of the API; none means all.
func (g *Grant) setAPI(methods, paths []string) error {
	p := agent.Policy{Socket: g.Socket, Environments: []string{g.Environment}, Allow: []agent.Access{agent.AccessAPI}, Methods: methods}
	for _, text := range paths {
		pattern, err := agent.ParsePathPattern(text)
		if err != nil {
			return answerError(err.Error())
		}
		p.Paths = append(p.Paths, pattern)
	}
	if err := p.Check(); err != nil {
		return answerError(err.Error())
	}
	g.Methods, g.Paths, g.api = methods, paths, p
	return nil
}

func (g *Grant) setTime(life, most time.Duration) error {
	life = cmp.Or(life, DefaultFor)
	if life < time.Second || life > most {
		return answerError(fmt.Sprintf("%s is not from 1s to %s", life, most))
	}
	g.GrantedAt, g.left = time.Now(), life
	g.EndsAt = g.GrantedAt.Add(life).Round(0)
	return nil
}

// ApproveUnit allows a unit something, each time it runs, and returns when that is on the disk.
func (a *Approvals) ApproveUnit(s Standing) (Grant, error) {
	if err := checkUnit(s.Unit.Name); err != nil {
		return Grant{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	g := &Grant{
		ID: a.newID(), Environment: s.Environment, Socket: s.Socket, Kind: cmp.Or(s.Kind, KindToken),
		Subject: Subject{Kind: SubjectUnit, Unit: s.Unit}, Standing: true,
	}
	switch {
	case !slices.Contains(Kinds, g.Kind):
		return Grant{}, answerError("unknown kind " + sanitize.Short(string(g.Kind), 40) + "; want token, access, aws or api")
	case g.Kind == KindAPI:
		if err := g.setAPI(s.Methods, s.Paths); err != nil {
			return Grant{}, err
		}
	case len(s.Methods) > 0 || len(s.Paths) > 0:
		return Grant{}, answerError("methods and paths are for the kind api")
	}
	if err := g.setTime(s.For, MaxStanding); err != nil {
		return Grant{}, err
	}
	if err := a.noteApproved(Event{Kind: Approved, Use: Use{Environment: g.Environment, Socket: g.Socket, Kind: g.Kind}, Grant: g.ID}); err != nil {
		return Grant{}, err
	}
	all, err := a.save(append(slices.Clone(a.grants), g))
	if err != nil {
		return Grant{}, err
	}
	a.grants = all
	for _, r := range slices.Clone(a.pending) {
		if g.allows(r.Use) && g.isFor(r.Subject, r.Facts.Unit) {
			if r.leader != nil {
				r.leader.Close()
			}
			a.finish(r, approved) // it goes on
		}
	}
	return *g, nil
}

// checkUnit refuses what is no name of a unit with one program. A name that a typist cut off
// would never match.
func checkUnit(name string) error {
	if !isOneProgram(peer.Unit{Name: name}) || name != sanitize.OneLine(name) || strings.ContainsAny(name, "/ *?[") {
		return answerError(fmt.Sprintf("%q is not a service; write nightly.service", sanitize.Cut(name, 64)))
	}
	return nil
}

// Deny answers a request with no. The same request is refused without a question for as long as
// it would have been pending.
func (a *Approvals) Deny(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.find(id)
	if err != nil {
		return err
	}
	delete(a.unanswered, r.Subject)
	a.finish(r, denied)
	a.record(Event{Kind: Denied, Use: r.Use, Facts: r.Facts, Grant: r.ID})
	return nil
}

// Revoke takes a grant back, or denies a request.
func (a *Approvals) Revoke(id string) error {
	a.mu.Lock()
	i := slices.IndexFunc(a.grants, func(g *Grant) bool { return g.ID == normalize(id) })
	if i < 0 {
		a.mu.Unlock()
		return a.Deny(id)
	}
	defer a.mu.Unlock()
	_, err := a.revoke(func(g *Grant) bool { return g == a.grants[i] })
	return err
}

// RevokeAll takes all grants back, and denies all requests. It returns how many there were.
func (a *Approvals) RevokeAll() (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	requests := slices.Clone(a.pending)
	for _, r := range requests {
		a.finish(r, denied)
		a.record(Event{Kind: Denied, Use: r.Use, Facts: r.Facts, Grant: r.ID})
	}
	if there, err := readGrants(a.opts.Dir); err == nil {
		a.grants = a.merge(a.grants, there.grants)
	}
	n, err := a.revoke(func(*Grant) bool { return true })
	return n + len(requests), err
}

// revoke takes grants back. They are gone even if that cannot be saved.
func (a *Approvals) revoke(which func(*Grant) bool) (n int, err error) {
	var kept []*Grant
	standing := false
	for _, g := range a.grants {
		if !which(g) {
			kept = append(kept, g)
			continue
		}
		n++
		if g.Standing {
			standing, a.revoked[g.ID] = true, true
		}
		g.close()
		a.record(Event{Kind: Denied, Use: Use{Environment: g.Environment, Socket: g.Socket, Kind: g.Kind}, Grant: g.ID})
	}
	a.grants = kept
	if !standing {
		return n, nil
	}
	saved, err := a.save(kept)
	if err == nil {
		a.grants = saved
	}
	return n, err
}

// find returns a request that can be answered, or says why it cannot.
func (a *Approvals) find(id string) (*Request, error) {
	a.sweep()
	id = normalize(id)
	for _, r := range a.pending {
		if r.ID == id {
			return r, nil
		}
	}
	shown := sanitize.Short(id, 20)
	for _, r := range slices.Backward(a.past) {
		if r.ID != id {
			continue
		}
		switch r.state {
		case expired:
			return nil, answerError(shown + " has expired; the program has to ask again")
		case ended:
			return nil, r.endedError()
		}
		return nil, answerError(shown + " was " + string(r.state) + " already; each code is good once")
	}
	return nil, unknownCode(id)
}

// CheckCode returns the error of a request that is unknown if id, as a person types it, is no
// code: it may be a path, or an option.
func CheckCode(id string) error {
	if id = normalize(id); IsCode(id) {
		return nil
	}
	return unknownCode(id)
}

func unknownCode(id string) error {
	return answerError("no request has the code " + sanitize.Short(id, 20) + "; see: kyc-agentd approvals")
}

// endedError is the error for a request whose session has ended. A service that is started now and
// then has ended before anybody can answer.
func (r *Request) endedError() error {
	message := "the session that asked for " + r.ID + " has ended"
	if unit := r.Facts.Unit; checkUnit(unit.Name) == nil && r.Subject.TTY == "" && r.Use.Kind != KindAPI {
		message += "; for each run of its unit: kyc-agentd approve --unit " + shellquote.Quote(unit.Name) + " --for 30d --env " + shellquote.Quote(r.Use.Environment)
		if !unit.User {
			message += " --system"
		}
		if r.Use.Kind != KindToken {
			message += " --kind " + string(r.Use.Kind)
		}
		if r.Use.Socket != "" {
			message += " --on " + shellquote.Quote(r.Use.Socket)
		}
	}
	return answerError(message)
}

func answerError(message string) error {
	return &agent.Error{Code: agent.CodeUsage, Op: "approve", Message: message}
}

func (a *Approvals) noteApproved(e Event) error {
	if a.opts.Record == nil {
		return nil
	}
	return a.opts.Record(e)
}

// alphabet has no characters that look alike: no 0 and O, 1, I and L, 5 and S, 2 and Z, 8 and B.
const alphabet = "34679ACDEFGHJKMNPQRTUVWXY"

// newID returns a code that no request and no grant has. People type it, and a program that
// could guess it could as well read the list.
func (a *Approvals) newID() string {
	for length := 4; ; {
		id := randomID(length)
		taken := slices.ContainsFunc(a.pending, func(r *Request) bool { return r.ID == id }) ||
			slices.ContainsFunc(a.past, func(r *Request) bool { return r.ID == id }) ||
			slices.ContainsFunc(a.grants, func(g *Grant) bool { return g.ID == id })
		if !taken {
			return id
		}
		length = 6
	}
}

func randomID(length int) string {
	id := make([]byte, 0, length)
	buf := make([]byte, 1)
	for len(id) < length {
		_, _ = rand.Read(buf) // never fails
		if int(buf[0]) < 256/len(alphabet)*len(alphabet) {
			id = append(id, alphabet[int(buf[0])%len(alphabet)])
		}
	}
	return string(id)
}

// IsCode reports whether id looks like the code of a request.
func IsCode(id string) bool { return len(id) >= 4 && len(id) <= 6 && strings.Trim(id, alphabet) == "" }

// normalize returns a code as it was made, from what a person types.
func normalize(id string) string { return strings.ToUpper(strings.TrimSpace(id)) }
