// Package audit keeps the audit log: who got what of the agent, from which program.
//
// [Open] makes a [Log], and [Log.Record] notes an [Event]. Code that has something to note
// takes a [Recorder], which a *Log is and a nil *Log is, too:
//
//	err := recorder.Record(ctx, audit.Event{
//		Kind: audit.Approved, Peer: peer, Environment: "prod", Grant: "7F3K",
//	})
//	if err != nil {
//		return err // only with [Required]: there is no line, so do not do it
//	}
//
// Record before what the event is about becomes visible: before a token is answered, a lock
// is reported, an approval is in force. In the mode [On] Record never waits and returns nil. In
// the mode [Required] it returns when the line is on the disk, or with an error.
//
// # The files
//
// audit.jsonl in the state folder has one JSON object a line, see [Line]. It becomes
// audit-000001.jsonl and so on when it is full; the oldest are removed, so that no more than
// 64 MB are kept. audit.state has the number and the hash of the last line, and the key of the
// next one. audit.lock orders the writers: several agents may have one folder.
//
// # The chain
//
// Each line has the SHA-256 of the line before. If [Init] has begun the chain it also has a
// MAC, whose key is the SHA-256 of the key before it, and that one is overwritten. Who breaks
// in can then write new lines, but not change old ones unseen, if somebody has the first key.
// Lines cut off at the end, with an old audit.state put back, are seen by a head that the
// daemon's log has: Options.OnHead gets them. [Verify] checks all of it.
//
// docs/audit.md says what that proves.
package audit

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
)

// A Kind is what happened.
type Kind string

// The kinds of events. The list is closed: a test holds it and docs/audit.md together.
const (
	Token    Kind = "token"    // an ID token, or an access token, was handed out
	Helper   Kind = "helper"   // the same, to a credential helper
	AWS      Kind = "aws"      // AWS credentials were handed out
	API      Kind = "api"      // a request was forwarded to the API
	Sink     Kind = "sink"     // a token was written to a token file
	Login    Kind = "login"    // somebody signed in, or could not
	Logout   Kind = "logout"   // somebody signed out
	Lock     Kind = "lock"     // the agent was locked
	Unlock   Kind = "unlock"   // it was unlocked, or somebody tried
	Asked    Kind = "asked"    // a request waits for an approval
	Approved Kind = "approved" // somebody approved it
	Denied   Kind = "denied"   // somebody did not
	Refused  Kind = "refused"  // a rule refused a request
	Reload   Kind = "reload"   // the configuration was reloaded, or could not be
	Start    Kind = "start"    // the agent started
	Stop     Kind = "stop"     // it stopped
)

// Kinds are all of them.
var Kinds = []Kind{Token, Helper, AWS, API, Sink, Login, Logout, Lock, Unlock, Asked, Approved, Denied, Refused, Reload, Start, Stop}

// Known reports whether k is one of Kinds.
func (k Kind) Known() bool { return slices.Contains(Kinds, k) }

// HandsOut reports whether what k is about can still be kept back when there is no line of it.
// Others have happened: where lines are required, theirs are counted when they fail.
func (k Kind) HandsOut() bool {
	switch k {
	case Token, Helper, AWS, API, Sink, Approved, Unlock:
		return true
	}
	return false
}

// An Event is something to note. What does not apply stays zero. No field may have a secret
// in it but Token, of which only the end is written.
type Event struct {
	Kind        Kind
	Time        time.Time // zero is now
	Peer        *Peer     // who asked; nil for the agent itself
	Socket      string    // the name of the socket; "" for the agent's own
	Environment string
	User        string
	Token       agent.Secret // that was handed out: its `jti` and its end are written
	Detail      string       // one more thing, in a word or two: an access key id, a unit
	Method      string       // of a request to the API
	Path        string       // the same, without the query
	Status      int          // of the API's answer
	Code        agent.Code   // of the error, if it failed
	Grant       string       // the approval that it was done with
}

// A Peer is the process that asked, as far as the system tells. It may have ended since, and
// a process of the same user can look like another one.
type Peer struct {
	PID     int       `json:"pid,omitempty"`
	UID     int       `json:"uid"`
	Exe     string    `json:"exe,omitempty"`
	Comm    string    `json:"comm,omitempty"`
	Unit    string    `json:"unit,omitempty"`
	Parents []Process `json:"parents,omitempty"` // the nearest first

	identity string // see NewPeer
}

// A Process is an ancestor of a Peer.
type Process struct {
	PID int    `json:"pid"`
	Exe string `json:"exe,omitempty"` // its program, or its name
}

// NewPeer returns p for the events of one connection: what they are folded by is computed
// once.
func NewPeer(p Peer) *Peer {
	p.identity = p.identify()
	return &p
}

// PeerOf returns the facts of a connection as the log has them.
func PeerOf(f peer.Facts) *Peer {
	p := Peer{PID: f.Process.PID, UID: f.UID, Exe: f.Process.Exe, Comm: f.Process.Comm}
	if !f.Unit.IsZero() {
		p.Unit = f.Unit.String()
	}
	for _, a := range f.Ancestors {
		p.Parents = append(p.Parents, Process{a.PID, a.Name()})
	}
	return NewPeer(p)
}

// identify says which peers are one: those that run the same program and have the same
// parent. A shell script that calls kyc-token 300 times is 300 processes.
func (p *Peer) identify() string {
	switch {
	case p == nil:
		return ""
	case p.identity != "":
		return p.identity
	}
	id := strconv.Itoa(p.UID) + "\x00" + p.Exe + "\x00" + p.Comm + "\x00" + p.Unit + "\x00"
	if len(p.Parents) == 0 || p.Exe == "" && p.Comm == "" {
		return id + strconv.Itoa(p.PID)
	}
	var parents strings.Builder
	for _, parent := range p.Parents {
		parents.WriteString(strconv.Itoa(parent.PID) + "\x00" + parent.Exe + "\x00")
	}
	return id + parents.String()
}

// A Recorder takes events.
type Recorder interface {
	// Record notes e. An error means that there is no line of e, and that what e is about must
	// not happen. It returns nil at once if lines are not required.
	Record(ctx context.Context, e Event) error
	// Mode returns what the log is worth: where it is Off, nobody needs to find out who asks.
	Mode() Mode
}

// Op is the Op of an [agent.Error] about the log.
const Op = "audit"

// HeadMessage is the message of the daemon's log with the fields chain, n and hash, for
// Options.OnHead: [Verify] compares these heads with the file.
const HeadMessage = "audit head"

// A Mode says what the log is worth to the agent.
type Mode string

// The modes.
const (
	On       Mode = "on"       // nobody waits for the log; what does not fit is counted
	Required Mode = "required" // no line, no token
	Off      Mode = "off"
)
