package audit

import (
	"hash/maphash"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	// foldFor is how long the repeats of an event are counted for one line.
	foldFor = time.Minute
	// maxFolds is how many different events are counted at a time. Each of any more has its own
	// line.
	maxFolds = 1024
)

// A foldKey says which events are the same. It has all that a line has but the time and the
// process id of a program that is started again and again.
type foldKey struct {
	kind                 Kind
	peer, socket         string
	environment, user    string
	token                uint64 // another one after a refresh
	detail, method, path string
	status               int
	code                 agent.Code
	grant                string
}

// seed is for tokens in keys: a key must not keep a token in memory.
var seed = maphash.MakeSeed()

// foldKey returns the key of e. What a client makes up decides nothing of a refusal's, or code
// in a sandbox could push the history out of the log.
func (e *Event) foldKey() foldKey {
	k := foldKey{
		kind: e.Kind, peer: e.Peer.identify(), socket: e.Socket, environment: e.Environment, user: e.User,
		token: maphash.String(seed, endOf(e.Token.Reveal())), code: e.Code, grant: e.Grant,
	}
	if e.Kind != Refused {
		k.detail, k.method, k.path, k.status = e.Detail, e.Method, e.Path, e.Status
	}
	return k
}

// endOf returns enough of a token to tell it from the next one.
func endOf(token string) string { return token[max(0, len(token)-64):] }

// A fold counts the repeats of an event that has a line.
type fold struct {
	event entry     // the last of them, with the token's description
	count int       // since the last line
	since time.Time // the first of them
	ends  time.Time // when they get a line
}

// folds are the events that have had a line within foldFor.
type folds struct {
	byKey map[foldKey]*fold
	// The newest that was counted. Comparing all of a key takes a fraction of the time of finding
	// it, and most events are like the one before.
	newest *fold // nil if there is none
	itsKey foldKey
}

// folded are the kinds of which a program may have any number. What a person does has a line
// each time.
func (k Kind) folded() bool {
	switch k {
	case Token, Helper, AWS, API, Sink, Refused:
		return true
	}
	return false
}

// add reports whether e is a repeat and was counted. If not, it needs a line; new counts its
// repeats, or is nil.
func (f *folds) add(e *Event) (new *fold, counted bool) {
	if !e.Kind.folded() {
		return nil, false
	}
	key := e.foldKey()
	same := f.newest
	if same == nil || key != f.itsKey {
		same = f.byKey[key]
	}
	if same != nil {
		if f.newest != same {
			f.newest, f.itsKey = same, key
		}
		if same.count == 0 {
			same.since = e.Time
		}
		same.count++
		same.event.Time, same.event.Peer = e.Time, e.Peer
		return same, true
	}
	if len(f.byKey) >= maxFolds {
		return nil, false
	}
	if f.byKey == nil {
		f.byKey = map[foldKey]*fold{}
	}
	same = &fold{event: entry{Event: *e}, ends: time.Now().Add(foldFor)}
	same.event.Token = agent.Secret{}
	f.byKey[key] = same
	return same, false
}

// expire returns the lines of those whose time is over, or of all, and when the next one's is.
// An event that goes on has a line each foldFor.
func (f *folds) expire(now time.Time, all bool) (lines []entry, next time.Time) {
	next, f.newest = now.Add(foldFor), nil
	for key, same := range f.byKey {
		switch {
		case !all && now.Before(same.ends):
		case same.count == 0:
			delete(f.byKey, key)
			continue
		default:
			line := same.event
			line.count, line.since, line.fold = same.count, same.since, same
			lines = append(lines, line)
			same.count, same.ends = 0, now.Add(foldFor)
		}
		if same.ends.Before(next) {
			next = same.ends
		}
	}
	return lines, next
}
