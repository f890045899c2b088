package shared

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

// SeenSuffix makes the key under which an agent stores the newest revision that it has seen.
const SeenSuffix = "--seen"

const (
	// LeaseTTL is how long a lease counts whose nonce does not change.
	LeaseTTL = 15 * time.Second
	// callTimeout limits one call of the engine.
	callTimeout = 5 * time.Second
	// pollIdle and pollWaiting are how often an engine that cannot notify is read: at least
	// twice before a lease is dead, so that a new agent can use what is left of the grace
	// period; and more often while somebody waits.
	pollIdle    = 10 * time.Second
	pollWaiting = 500 * time.Millisecond
	// retryMin and retryMax are the pauses after the engine has failed.
	retryMin = 500 * time.Millisecond
	retryMax = 5 * time.Second
)

// Options are the parts of a Fleet.
type Options struct {
	Engine Engine
	Sealer Sealer
	// Local keeps the newest revision that was seen over a restart.
	Local store.Store
	// Member is the name of this agent for the people who look at the others.
	Member string
	Logger *slog.Logger // nil discards
}

// A Fleet is one agent's part in a fleet.
type Fleet struct {
	engine Engine
	sealer Sealer
	local  store.Store
	member string
	log    *slog.Logger

	mu     sync.Mutex
	states map[string]*state
	clock  time.Time // the engine's, when it was read at clockAt
	// clockAt is on the monotonic clock.
	clockAt time.Time
}

// A state is what this agent knows of one environment.
type state struct {
	loaded  bool // seen was read
	seen    int64
	holder  string // who refreshes
	nonce   string
	since   time.Time // when nonce was first seen, monotonic clock
	writer  string
	members map[string]time.Time // who was seen to refresh, and when last
	err     error                // why the engine's value cannot be used now; nil if it can
	errAt   time.Time
}

// New returns the Fleet. It makes no call.
func New(o Options) *Fleet {
	return &Fleet{
		engine: o.Engine, sealer: o.Sealer, local: o.Local, member: o.Member,
		log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), states: map[string]*state{},
	}
}

// Describe describes the engine.
func (f *Fleet) Describe() store.Info { return f.engine.Describe() }

// Read returns the record of an environment, which is zero if there is none.
func (f *Fleet) Read(ctx context.Context, environment string) (Record, error) {
	_, _, r, err := f.read(ctx, environment)
	return r, err
}

// read gets and opens the value. The data is returned with every error that is about it.
func (f *Fleet) read(ctx context.Context, environment string) ([]byte, object, Record, error) {
	floor := f.newest(environment)
	v, err := f.get(ctx, environment)
	if err != nil {
		return nil, object{}, Record{}, f.failed(environment, err)
	}
	o, r, err := f.open(environment, v, floor)
	return v.Data, o, r, err
}

func (f *Fleet) get(ctx context.Context, environment string) (Value, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return f.engine.Get(ctx, environment)
}

func (f *Fleet) swap(ctx context.Context, environment string, old []byte, o object) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	data := o.encode()
	return data, f.engine.Swap(ctx, environment, old, data)
}

// open checks a value and remembers what it says. floor is the newest revision that had been seen
// when the value was asked for.
func (f *Fleet) open(environment string, v Value, floor int64) (object, Record, error) {
	f.mu.Lock()
	f.clock, f.clockAt = v.At, time.Now()
	f.mu.Unlock()
	o, err := parseObject(environment, v.Data)
	if err != nil {
		return o, Record{}, f.failed(environment, err)
	}
	f.noteLease(environment, o)
	r, err := o.record(f.sealer)
	if err == nil {
		err = f.noteRevision(environment, o, r, floor)
	}
	if r.Token != nil {
		r.Token.Since = v.Asked.Add(-max(v.At.Sub(r.Token.RequestedAt), 0))
	}
	return o, r, f.failed(environment, err)
}

// failed records err as the reason why an environment cannot be used; nil clears it.
func (f *Fleet) failed(environment string, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stateLocked(environment)
	if err != nil && (s.err == nil || s.err.Error() != err.Error()) {
		f.log.Warn("the fleet's store cannot be used", "op", "fleet", "env", environment, "error", err)
		s.errAt = time.Now()
	}
	if err == nil && s.err != nil {
		f.log.Info("the fleet's store can be used again", "op", "fleet", "env", environment)
	}
	s.err = err
	return err
}

// stateLocked returns the state of an environment. The caller holds mu.
func (f *Fleet) stateLocked(environment string) *state {
	s := f.states[environment]
	if s == nil {
		s = &state{members: map[string]time.Time{}}
		f.states[environment] = s
	}
	return s
}

// noteLease remembers who refreshes, and since when nothing was heard of them.
func (f *Fleet) noteLease(environment string, o object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stateLocked(environment)
	if nonce := o.nonce(); nonce != s.nonce {
		s.nonce, s.since = nonce, time.Now()
	}
	if s.holder = o.holder(); s.holder != "" {
		s.members[s.holder] = time.Now()
	}
}

// dead returns how long until the lease in o is dead, 0 or less if it is. A lease is dead when
// its nonce has not changed for LeaseTTL on this machine's monotonic clock: no two wall clocks
// are compared.
func (f *Fleet) untilDead(environment string, o object) time.Duration {
	if o.Lease == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return LeaseTTL - time.Since(f.stateLocked(environment).since)
}

// newest returns the newest revision that was seen.
func (f *Fleet) newest(environment string) int64 {
	f.loadSeen(environment)
	return f.Status(environment).Revision
}

// noteRevision refuses a record that is older than floor, and remembers it if it is newer than
// all that were seen. One in between is old because another call has overtaken its read, and a
// swap of it gets ErrConflict.
func (f *Fleet) noteRevision(environment string, o object, r Record, floor int64) error {
	f.mu.Lock()
	s := f.stateLocked(environment)
	seen := s.seen
	switch {
	case o.Sealed == nil && floor > 0:
		f.mu.Unlock()
		return Errorf(ErrRolledBack, "there is no sign-in of %s, and this agent has seen revision %d: it was deleted, or the store was restored from a backup; sign in anew on one machine: kyc-agentd login %s",
			environment, floor, environment)
	case r.Revision < floor, r.Revision > floor && r.Refused > 0 && r.Refused < floor:
		f.mu.Unlock()
		return Errorf(ErrRolledBack, "the sign-in of %s has revision %d, and this agent has seen %d: the store was restored from a backup; sign in anew on one machine: kyc-agentd login %s",
			environment, cmp.Or(r.Refused, r.Revision), floor, environment)
	}
	if r.Revision < seen {
		f.mu.Unlock()
		return nil
	}
	s.seen = r.Revision
	if s.writer = sanitize.Cut(r.Writer, 64); s.writer != "" && r.Revision > seen {
		s.members[s.writer] = time.Now()
	}
	f.mu.Unlock()
	if r.Revision > seen {
		f.saveSeen(environment, r.Revision)
	}
	return nil
}

func (f *Fleet) loadSeen(environment string) {
	f.mu.Lock()
	loaded := f.stateLocked(environment).loaded
	f.mu.Unlock()
	if loaded {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	data, err := f.local.Get(ctx, environment+SeenSuffix)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		f.log.Warn("cannot read which revision was seen", "op", "fleet", "env", environment, "error", err)
	}
	seen, _ := strconv.ParseInt(string(data), 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stateLocked(environment)
	s.loaded, s.seen = err == nil || errors.Is(err, store.ErrNotFound), max(s.seen, seen)
}

// saveSeen stores a revision. If that fails, the next one is stored.
func (f *Fleet) saveSeen(environment string, revision int64) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := f.local.Put(ctx, environment+SeenSuffix, strconv.AppendInt(nil, revision, 10)); err != nil {
		f.log.Warn("cannot store which revision was seen", "op", "fleet", "env", environment, "error", err)
	}
}

// Now returns the engine's clock. It is this machine's before the engine was first read.
func (f *Fleet) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.clock.IsZero() {
		return time.Now().Round(0)
	}
	return f.clock.Add(time.Since(f.clockAt))
}

// A Status describes one environment of a fleet.
type Status struct {
	Revision int64     // the newest that was seen
	Writer   string    // who wrote it
	Holder   string    // who refreshes now, or ""
	Members  []string  // who was seen to refresh since the start, in ascending order
	Err      error     // why the engine's value cannot be used; nil if it can
	ErrAt    time.Time // since when
}

// Status answers from memory.
func (f *Fleet) Status(environment string) Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stateLocked(environment)
	st := Status{
		Revision: s.seen, Writer: s.writer, Holder: s.holder,
		Members: slices.AppendSeq([]string{}, maps.Keys(s.members)), Err: s.err, ErrAt: s.errAt,
	}
	slices.Sort(st.Members)
	return st
}

// pause waits for up to d, at least half of it, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
