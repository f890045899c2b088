package auto

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// A memoryFallback keeps values in memory until there is a store that outlives the daemon:
// a keyring that comes late, locked or not, or what Reopen opens. From then on it is that
// store, to which it moves the values.
type memoryFallback struct {
	memory *memory.Store
	late   *lateKeyring // nil if store = "memory" asks for memory
	newKey string       // where a key for the file store would be found, or ""
	log    *slog.Logger

	// slot is taken by one operation at a time, so that none of them writes a value that
	// another one moves. Capacity 1.
	slot chan struct{}
	// next is set once there is such a store.
	next atomic.Pointer[nextStore]
}

type nextStore struct{ store store.Store }

var (
	_ store.Store     = (*memoryFallback)(nil)
	_ store.Describer = (*memoryFallback)(nil)
	_ store.Checker   = (*memoryFallback)(nil)
	_ io.Closer       = (*memoryFallback)(nil)
)

// errMemoryAsked is why no other store is looked for.
var errMemoryAsked = errors.New(`store = "memory"`)

func newMemoryFallback(late *lateKeyring, newKey string, log *slog.Logger) *memoryFallback {
	return &memoryFallback{memory: memory.New(), late: late, newKey: newKey, log: log, slot: make(chan struct{}, 1)}
}

// Reopen looks again for a store that outlives the daemon, as Open with o does, if st keeps
// values in memory. It moves them there, and reports whether it found one. A value leaves
// the memory when it is durable elsewhere, so a kill loses only what was not moved yet.
//
// After an error no value is lost: those that could not be moved are still in memory, and
// are moved after a later operation.
func Reopen(ctx context.Context, st store.Store, o Options) (found bool, err error) {
	s, ok := st.(*memoryFallback)
	if !ok || s.next.Load() != nil || o.Kind == Memory {
		return false, nil
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	opened, err := Open(ctx, o)
	if err != nil {
		return false, err
	}
	if _, ok := opened.(*memoryFallback); ok {
		return false, nil
	}
	s.become(ctx, opened)
	return true, s.move(ctx)
}

// become makes found the store of all values that are not in memory.
func (s *memoryFallback) become(ctx context.Context, found store.Store) {
	s.next.Store(&nextStore{found})
	info := store.Describe(found)
	s.log.InfoContext(ctx, "store chosen: it replaces the memory", "kind", info.Kind, "detail", info.Detail)
}

// Get returns the value of key from the memory, else from the store that was found.
func (s *memoryFallback) Get(ctx context.Context, key string) ([]byte, error) {
	value, missing := s.memory.Get(ctx, key)
	if !errors.Is(missing, store.ErrNotFound) {
		return value, missing
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	next, because := s.reach(ctx)
	switch {
	case next == nil && s.late == nil:
		return nil, missing
	case next == nil:
		return nil, notReached(ctx, key, because)
	}
	value, err := next.Get(ctx, key)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		_ = s.move(ctx) // it logs
	}
	return value, err
}

// Put stores value under key in the store that was found, or in memory if there is none.
func (s *memoryFallback) Put(ctx context.Context, key string, value []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	next, _ := s.reach(ctx)
	if next == nil {
		return s.memory.Put(ctx, key, value)
	}
	uncancelled := context.WithoutCancel(ctx)
	if err := next.Put(ctx, key, value); err != nil {
		if _, older := s.memory.Get(uncancelled, key); older == nil {
			// The store may still take the value. Then the older one must not replace it.
			_ = s.memory.Put(uncancelled, key, value)
		}
		return err
	}
	_ = s.memory.Delete(uncancelled, key)
	_ = s.move(ctx) // it logs
	return nil
}

// Delete removes key from the memory and from the store that was found, if there is one.
func (s *memoryFallback) Delete(ctx context.Context, key string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.memory.Delete(ctx, key); err != nil {
		return err
	}
	if next, _ := s.reach(ctx); next != nil {
		return next.Delete(ctx, key)
	}
	return nil
}

// Keys lists the keys in the memory and in the store that was found, if there is one.
func (s *memoryFallback) Keys(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	keys, err := s.memory.Keys(ctx)
	if err != nil {
		return nil, err
	}
	next, _ := s.reach(ctx)
	if next == nil {
		return keys, nil
	}
	more, err := next.Keys(ctx)
	if err != nil {
		return nil, err
	}
	return union(keys, more), nil
}

// Intact checks the store that was found.
func (s *memoryFallback) Intact(ctx context.Context) (bool, error) {
	if next := s.next.Load(); next != nil {
		if c, ok := next.store.(store.Checker); ok {
			return c.Intact(ctx)
		}
	}
	return true, nil
}

// HandOver hands on the lock of the store that was found.
func (s *memoryFallback) HandOver() error {
	if next := s.next.Load(); next != nil {
		return HandOver(next.store)
	}
	return nil
}

// Close closes the store that was found.
func (s *memoryFallback) Close() error {
	if next := s.next.Load(); next != nil {
		return Close(next.store)
	}
	return nil
}

// Describe describes the memory until another store has all values.
func (s *memoryFallback) Describe() store.Info {
	next := s.next.Load()
	if next == nil {
		return s.describeMemory()
	}
	info := store.Describe(next.store)
	if left, _ := s.memory.Keys(context.Background()); len(left) > 0 {
		advice := cmp.Or(info.Advice, "they are moved to the "+info.Kind+" store at the next sign-in or refresh")
		return store.Info{Kind: Memory, Advice: "sign-ins end with the daemon: " + advice}
	}
	return info
}

// describeMemory looks for a key each time, because a person may have made one meanwhile.
func (s *memoryFallback) describeMemory() store.Info {
	info := store.Describe(s.memory)
	if s.late == nil {
		return info
	}
	info.NewKey = s.newKey
	switch _, err := os.Lstat(s.newKey); {
	case s.newKey == "":
		info.Advice = fmt.Sprintf("sign-ins end with the daemon: %v", s.late.reason())
	case err == nil:
		info.Advice = "sign-ins end with the daemon; there is a key for files now, " + s.newKey + ": to use it, run: kyc-agentd reload"
	default:
		reason, _, _ := strings.Cut(fmt.Sprint(s.late.reason()), "; ")
		info.Advice = "sign-ins end with the daemon; to keep them in files, run: kyc-agentd keygen && kyc-agentd reload (" + reason + ")"
	}
	return info
}

// reach returns the store that was found, which may be a keyring that is locked or silent,
// or nil and the reason why there is none.
func (s *memoryFallback) reach(ctx context.Context) (store.Store, error) {
	if next := s.next.Load(); next != nil {
		return next.store, nil
	}
	if s.late == nil {
		return nil, errMemoryAsked
	}
	err := s.late.ask(ctx, func() error {
		_, err := s.late.keyring.Keys(ctx)
		return err
	})
	if ctx.Err() != nil || !keyring.IsThere(err) {
		return nil, err
	}
	s.become(ctx, s.late.keyring)
	return s.late.keyring, nil
}

// move gives the store that was found what the memory holds. What it does not take is moved
// after a later operation.
func (s *memoryFallback) move(ctx context.Context) error {
	keys, _ := s.memory.Keys(ctx)
	for _, key := range keys {
		value, err := s.memory.Get(ctx, key)
		if err == nil {
			err = s.next.Load().store.Put(ctx, key, value)
		}
		if err != nil {
			s.log.WarnContext(ctx, "a sign-in could not be moved from the memory; trying again", "env", key, "error", err)
			return err
		}
		_ = s.memory.Delete(context.WithoutCancel(ctx), key)
	}
	return nil
}

func (s *memoryFallback) enter(ctx context.Context) error {
	select {
	case s.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return endOf(ctx)
	}
}

func (s *memoryFallback) leave() { <-s.slot }
