package shared

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Lease is the right to refresh one environment. It is renewed until Push or Release.
type Lease struct {
	fleet       *Fleet
	environment string
	stop        context.CancelFunc
	renewing    sync.WaitGroup
	data        []byte // the value with this lease; renew owns it until it ends
	revision    int64  // of its record
}

// Acquire returns a lease to refresh known, which is what the caller has, or a newer record.
// While another agent has the lease, it waits: for a newer record, for the end of the lease,
// or for ctx. It refuses a value that is older than known is only if known is older than what
// was seen as well; otherwise known is the newest there is, and the lease is put into the older
// value.
func (f *Fleet) Acquire(ctx context.Context, environment string, known Record) (*Lease, Record, error) {
	for {
		data, o, r, err := f.read(ctx, environment)
		switch {
		case errors.Is(err, ErrRolledBack) && known.SignIn != nil && known.Revision >= f.Status(environment).Revision:
			o, err = parseObject(environment, data)
		case err == nil && r.Revision > known.Revision:
			return nil, r, nil
		}
		if err != nil {
			return nil, Record{}, err
		}
		if left := f.untilDead(environment, o); left > 0 {
			if err := f.awaitChange(ctx, environment, data, left); err != nil {
				return nil, Record{}, err
			}
			continue
		}
		data, err = f.swap(ctx, environment, data, o.with(f.claim()))
		switch {
		case err == nil:
			return f.newLease(environment, data, r.Revision), Record{}, nil
		case !errors.Is(err, ErrConflict) || ctx.Err() != nil:
			return nil, Record{}, f.failed(environment, err)
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// awaitChange waits until the value is not data any more, at most for left.
func (f *Fleet) awaitChange(ctx context.Context, environment string, data []byte, left time.Duration) error {
	short, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	_, err := f.engine.Watch(short, environment, data, pollWaiting)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s is refreshing: %w", f.Status(environment).Holder, ctx.Err())
	case short.Err() != nil || err == nil:
		return nil
	}
	pause(ctx, pollWaiting)
	return nil // reading tells what is wrong
}

func (f *Fleet) claim() *claim { return &claim{Holder: f.member, Nonce: rand.Text()} }

func (f *Fleet) newLease(environment string, data []byte, revision int64) *Lease {
	ctx, stop := context.WithCancel(context.Background())
	l := &Lease{fleet: f, environment: environment, stop: stop, data: data, revision: revision}
	l.renewing.Go(func() { l.renew(ctx) })
	return l
}

// renew changes the nonce every third of LeaseTTL. A lease that another agent has taken is not
// renewed any more: the call that is under way goes on, because it cannot be taken back.
func (l *Lease) renew(ctx context.Context) {
	ticker := time.NewTicker(LeaseTTL / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		o, err := parseObject(l.environment, l.data)
		if err != nil {
			return
		}
		data, err := l.fleet.swap(ctx, l.environment, l.data, o.with(l.fleet.claim()))
		switch {
		case err == nil:
			l.data = data
		case errors.Is(err, ErrConflict):
			l.fleet.log.Warn("another agent took the lease while this one refreshes", "op", "fleet", "env", l.environment)
			return
		}
	}
}

func (l *Lease) end() {
	l.stop()
	l.renewing.Wait()
}

// Release gives the lease back without a new record.
func (l *Lease) Release(ctx context.Context) {
	l.end()
	o, err := parseObject(l.environment, l.data)
	if err == nil {
		_, err = l.fleet.swap(ctx, l.environment, l.data, o.with(nil))
	}
	if err != nil && !errors.Is(err, ErrConflict) {
		l.fleet.log.Debug("the lease was not given back, and ends by itself", "op", "fleet", "env", l.environment, "error", err)
	}
}

// Push makes r, which came of parent, the newest record and ends the lease. See [Fleet.Push].
func (l *Lease) Push(ctx context.Context, parent Parent, r Record) (Record, error) {
	l.end()
	return l.fleet.push(ctx, l.environment, l.data, l.revision, parent, r)
}

// Push makes r, which came of parent, the newest record, and returns it as it was written. If
// another agent has written a newer one it returns that with ErrSuperseded, and the caller goes
// on with that: nothing is revoked, because revoking one of two that came of the same sign-in
// may end both. After any other error Push can be called again.
func (f *Fleet) Push(ctx context.Context, environment string, parent Parent, r Record) (Record, error) {
	return f.push(ctx, environment, nil, 0, parent, r)
}

// push replaces data, whose record has that revision. They are read first if data is nil.
func (f *Fleet) push(ctx context.Context, environment string, data []byte, revision int64, parent Parent, r Record) (Record, error) {
	if r.Writer = f.member; r.Rejected != "" {
		r.Refused = parent.Revision
	}
	for {
		if data == nil {
			var newest Record
			var err error
			data, _, newest, err = f.read(ctx, environment)
			switch {
			case errors.Is(err, ErrRolledBack), errors.Is(err, ErrSwapped) && parent.Any:
			case err != nil:
				return Record{}, err
			case newest.Revision > parent.Revision && bytes.Equal(newest.SignIn, r.SignIn) && newest.Rejected == r.Rejected:
				return newest, nil // an earlier try, whose answer was lost
			case newest.Revision > parent.Revision && !parent.Any && !newest.rejects(parent):
				return newest, ErrSuperseded
			}
			revision = newest.Revision
		}
		r.Revision = f.nextRevision(environment, max(revision, parent.Revision))
		o, err := r.seal(environment, f.sealer)
		if err != nil {
			return Record{}, err
		}
		_, err = f.swap(ctx, environment, data, o)
		switch {
		case err == nil:
			return r, f.failed(environment, f.noteRevision(environment, o, r, 0))
		case !errors.Is(err, ErrConflict) || ctx.Err() != nil:
			return Record{}, f.failed(environment, err)
		}
		data = nil
		pause(ctx, 50*time.Millisecond)
	}
}

// rejects reports whether r only says that parent was refused. An agent that got a new refresh
// token for it, and was suspended before it could push that, knows better.
func (r Record) rejects(parent Parent) bool {
	return r.Rejected != "" && digest(r.SignIn) == parent.Digest
}

// nextRevision is above revision and all that were seen. Unix time makes it grow even if nobody
// remembers those, as after the engine was restored from a backup.
func (f *Fleet) nextRevision(environment string, revision int64) int64 {
	return max(f.newest(environment), revision, time.Now().Unix()) + 1
}
