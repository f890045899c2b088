package ipc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// An auditor tells the audit log of what the requests on one socket got. Each of its calls
// comes before the answer is written: where lines are required, an error takes the answer's
// place.
type auditor struct {
	to     audit.Recorder // nil records nothing
	socket string
	known  *lastPeer // of this socket; nil remembers none
}

// A lastPeer keeps the newest peer, for a program that makes a connection for each request.
type lastPeer struct {
	last atomic.Pointer[describedPeer]
}

type describedPeer struct {
	facts *peer.Facts
	peer  *audit.Peer
}

func (k *lastPeer) of(f *peer.Facts) *audit.Peer {
	if k == nil {
		return audit.PeerOf(*f)
	}
	d := k.last.Load()
	if d != nil && d.facts == f {
		return d.peer
	}
	if d == nil || d.facts.Process != f.Process || d.facts.UID != f.UID || d.facts.Unit != f.Unit || !slices.Equal(d.facts.Ancestors, f.Ancestors) {
		d = &describedPeer{f, audit.PeerOf(*f)}
		k.last.Store(d)
	}
	return d.peer
}

// An answer waits for a line that is required for auditTimeout, and until auditDeadline after
// its request: the programs that wait least long give up after 5 and 8 seconds, and the token
// may have taken helperTimeout or tokenTimeout.
const (
	auditTimeout  = 400 * time.Millisecond
	auditDeadline = helperTimeout + auditTimeout
)

func (a auditor) off() bool { return a.to == nil || a.to.Mode() == audit.Off }

// waits reports whether an answer waits for its line.
func (a auditor) waits() bool { return a.to != nil && a.to.Mode() == audit.Required }

// issued records an answer that succeeded, at the time ended, of a route that has a line of this
// kind.
func (a auditor) issued(c *connection, started, ended time.Time, kind audit.Kind, res *response) error {
	switch {
	case a.off() || kind == "":
		return nil
	case kind == audit.Token && res.issued.token.IsZero():
		kind = audit.AWS
	case kind == audit.Helper && res.issued.token.IsZero():
		return nil // an answer without a token
	}
	err := a.record(started, &audit.Event{
		Kind: kind, Time: ended, Peer: a.peerOn(c), Environment: res.issued.environment, User: res.user, Token: res.issued.token, Detail: res.issued.detail, Grant: grantOn(c),
	})
	if !kind.HandsOut() {
		return nil // it has happened
	}
	return err
}

// refusals are the codes of what a rule refuses. Other failures are in the log of the agent
// alone: nobody got anything, and nobody was kept from it.
var refusals = []agent.Code{agent.CodeDenied, agent.CodeLocked}

// refused records an answer that failed, of a route that has a line of this kind when it succeeds.
// A sign-out and a reload have a line whatever the code is. configured returns the name of an
// environment if it is one: no text of the client's decides how many lines there are.
func (a auditor) refused(r *http.Request, op string, kind audit.Kind, configured func(string) string, err error) {
	if cause, ok := errors.AsType[*agent.Error](err); a.off() || ok && cause.Op == audit.Op {
		return // it is about the log itself
	}
	e := wire.Sanitized(err)
	c, _ := connectionOf(r)
	event := audit.Event{Kind: audit.Refused, Peer: a.peerOn(c), Code: e.Code, Detail: op}
	switch {
	case kind != "" && !kind.HandsOut():
		event.Kind, event.Detail = kind, ""
	case op == "proxy" && e.Code == agent.CodeUnavailable:
		event.Kind = audit.API // the API may have had the token
	case !slices.Contains(refusals, e.Code) && (e.Code != agent.CodeThrottled || a.socket == ""):
		return
	}
	event.Environment = configured(e.Environment)
	if op == "proxy" {
		event.Detail, event.Method, event.Path = "", sanitize.Short(r.Method, maxName), r.URL.EscapedPath()
	}
	_ = a.record(time.Now(), &event)
}

// forwarded records a request to the API: see [apiproxy.Proxy.OnUse]. The line is about the
// answer. Where lines are required there is one before the request as well: once it is sent, the
// token has been used.
func (a auditor) forwarded(r *http.Request, t agent.Token, status int) error {
	if a.off() || status == 0 && !a.waits() {
		return nil
	}
	c, _ := connectionOf(r)
	return a.record(time.Now(), &audit.Event{
		Kind: audit.API, Peer: a.peerOn(c), Environment: t.Environment, User: t.User, Token: t.IDToken,
		Method: r.Method, Path: r.URL.EscapedPath(), Status: status, Grant: grantOn(c),
	})
}

// signIn records how a sign-in ended. The sign-in is there, so that a line that cannot be
// written is counted, and no error.
func (a auditor) signIn(from *audit.Peer, environment string, req agent.LoginRequest, err error) {
	if a.off() {
		return
	}
	e := audit.Event{Kind: audit.Login, Peer: from, Environment: environment}
	if !req.APIKey.IsZero() {
		e.Detail = "API key"
	}
	if err == nil {
		e.User = req.Username
	} else { // and no name: people type passwords there
		e.Code = agent.CodeOf(err)
	}
	_ = a.record(time.Now(), &e)
}

// unit records the credential of a unit.
func (a auditor) unit(c net.Conn, q unitRequest, t agent.Token) error {
	if a.off() {
		return nil
	}
	e := audit.Event{Kind: audit.Token, Environment: t.Environment, User: t.User, Token: t.IDToken, Detail: "credential of " + q.unit}
	client := peer.Of(c)
	defer client.Close()
	known, _ := socket.PeerOf(c)
	e.Peer = a.describe(client, known)
	return a.record(time.Now(), &e)
}

// foreign records a process of another user.
func (a auditor) foreign(p socket.Peer) {
	if !a.off() {
		_ = a.record(time.Now(), &audit.Event{Kind: audit.Refused, Peer: audit.NewPeer(audit.Peer{PID: p.PID, UID: p.UID}), Code: agent.CodeDenied, Detail: "another user"})
	}
}

// record records an event of a request that began at started.
func (a auditor) record(started time.Time, e *audit.Event) error {
	e.Socket = a.socket
	if !a.waits() {
		return a.to.Record(context.Background(), *e)
	}
	wait := max(auditTimeout, auditDeadline-time.Since(started))
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return a.to.Record(ctx, *e)
}

// An auditedPeer is what the log says of the process at the other end of a connection. It is
// asked for once a connection, while the process waits for its answer.
type auditedPeer struct{ peer *audit.Peer }

// peerOn returns who is at the other end of c.
func (a auditor) peerOn(c *connection) *audit.Peer {
	if c == nil || a.off() {
		return nil
	}
	if c.audit.peer == nil {
		c.audit.peer = a.describe(c.client, c.peer)
	}
	return c.audit.peer
}

// describe reads what the system tells of a process.
func (a auditor) describe(client *peer.Peer, known socket.Peer) *audit.Peer {
	if client != nil {
		if facts, err := client.Brief(); err == nil {
			return a.known.of(facts)
		}
	}
	return audit.NewPeer(audit.Peer{PID: known.PID, UID: known.UID, Exe: known.Program()})
}

// grantOn returns the approval by which the newest request on c got something.
func grantOn(c *connection) string {
	if c == nil {
		return ""
	}
	return c.grant
}
