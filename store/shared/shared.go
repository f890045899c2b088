// Package shared keeps one sign-in for several agents, a fleet, on an engine that they can
// all reach, and lets one agent at a time refresh it.
//
// An [Engine] (store/kubernetes, store/postgres, [Memory]) has one value an environment and
// changes it only by compare-and-swap. Everything else is here and is the same for all of
// them: a [Fleet] seals what the engine sees, numbers it, refuses what is older than it has
// seen, and puts a lease into the same value:
//
//	f := shared.New(shared.Options{Engine: engine, Sealer: sealer, Member: "node-7"})
//	lease, newer, err := f.Acquire(ctx, "prod", known) // newer: another agent was first
//	…                                                  // refresh, while the lease is renewed
//	record, err := lease.Push(ctx, shared.Record{…})
//
// A lease keeps two agents from doing the same work. It does not make that impossible: an
// agent may be suspended while it has it. What makes a fleet safe is the compare-and-swap,
// and that the provider accepts a replaced refresh token for a grace period.
//
// Every engine passes the one conformance suite in store/shared/sharedtest.
package shared

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// An Engine keeps one value an environment. Implementations are safe for concurrent use by
// many processes. Errors are those of [store.Store]: [store.ErrUnusable] if a person has to
// correct something, and the text names what; [store.ErrUnavailable] if the engine could not be
// reached or does not work at present.
type Engine interface {
	// Get returns the newest value of key; no value is no error. What a Swap has put is what a Get that begins
	// later returns, whoever made them.
	Get(ctx context.Context, key string) (Value, error)
	// Swap replaces the value old of key by new, and is durable when it returns nil. If the
	// value is another one it returns ErrConflict and changes nothing; a nil old stands for
	// no value. After any other error the value is old or new.
	Swap(ctx context.Context, key string, old, new []byte) error
	// Watch returns the value of key as soon as that is not known, which may be nil for no
	// value, or an error. It may return early with a value that is known. An engine that
	// cannot notify reads the value every so often.
	Watch(ctx context.Context, key string, known []byte, every time.Duration) (Value, error)
	store.Describer
}

// A Value is what an Engine has, and its clock when it was read: the only clock that all
// agents of a fleet can read.
type Value struct {
	Data []byte // nil if there is none
	At   time.Time
	// Asked is on this machine's clock, not after At: a process may be suspended between the
	// engine's answer and the moment at which it looks at the time.
	Asked time.Time
}

// A Sealer encrypts and authenticates. context is authenticated and not stored.
type Sealer interface {
	Seal(context string, plain []byte) ([]byte, error)
	// Open returns an error that wraps ErrForeign for what Seal has not made with one of its
	// keys, for that context.
	Open(context string, sealed []byte) ([]byte, error)
}

// A Record is what a fleet shares of one environment. It contains secrets.
type Record struct {
	Revision int64
	// SignIn is the sign-in in the agent's form; nil after a logout.
	SignIn []byte
	// First is its first refresh token in the same form, once that was replaced.
	First []byte
	// Rejected is why nobody need try this sign-in any more, or "".
	Rejected string
	// Refused is the revision whose sign-in was Rejected. Push sets it. It may be older than what
	// an agent has seen, if a new agent has found a restored backup.
	Refused int64
	// Token came with the last refresh; nil if nobody has it.
	Token *Token
	// Writer is the agent that wrote the record.
	Writer string
}

// A Parent is the record that another one came of.
type Parent struct {
	Revision int64  `json:"rev,omitempty"`
	Digest   string `json:"digest,omitempty"` // of its sign-in, which is not secret any more in this form
	// Any stands for whatever there is: a login replaces it.
	Any bool `json:"any,omitempty"`
}

// Parent returns r as the parent of the next record.
func (r Record) Parent() Parent { return Parent{Revision: r.Revision, Digest: digest(r.SignIn)} }

func digest(signIn []byte) string {
	if signIn == nil {
		return ""
	}
	sum := sha256.Sum256(signIn)
	return hex.EncodeToString(sum[:8])
}

// A Token is an ID token that every agent of a fleet may hand out. The agent that got it has
// verified it.
type Token struct {
	ID       string        `json:"id"`
	Access   string        `json:"access,omitempty"`
	Lifetime time.Duration `json:"lifetime"`
	// RequestedAt is on the engine's clock.
	RequestedAt time.Time `json:"requested_at"`
	// Since is set by Read: RequestedAt on this machine's clock, or a little earlier.
	Since time.Time `json:"-"`
}
