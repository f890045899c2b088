package auto

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// A memoryFallback keeps values in memory until there is a keyring, locked or not. From
// then on it is that keyring, to which it moves the values.
type memoryFallback struct {
	memory *memory.Store
	late   *lateKeyring
	log    *slog.Logger

	// slot is taken by one operation at a time, so that none of them writes a value that
	// another one moves. Capacity 1.
	slot chan struct{}
	// arrived is set once there is a keyring.
	arrived atomic.Bool
}

var (
	_ store.Store     = (*memoryFallback)(nil)
	_ store.Describer = (*memoryFallback)(nil)
)

func newMemoryFallback(late *lateKeyring, log *slog.Logger) *memoryFallback {
	return &memoryFallback{memory: memory.New(), late: late, log: log, slot: make(chan struct{}, 1)}
}

// Get returns the value of key from the memory, else from the keyring.
func (s *memoryFallback) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := s.memory.Get(ctx, key)
	if !errors.Is(err, store.ErrNotFound) {
		return value, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.reach(ctx); err != nil {
		return nil, notReached(ctx, key, err)
	}
	value, err = s.late.keyring.Get(ctx, key)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		s.move(ctx)
	}
	return value, err
}

// Put stores value under key in the keyring, or in memory if there is none.
func (s *memoryFallback) Put(ctx context.Context, key string, value []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.reach(ctx) != nil {
		return s.memory.Put(ctx, key, value)
	}
	uncancelled := context.WithoutCancel(ctx)
	if err := s.late.keyring.Put(ctx, key, value); err != nil {
		if _, older := s.memory.Get(uncancelled, key); older == nil {
			// The keyring may still take the value. Then the older one must not replace it.
			_ = s.memory.Put(uncancelled, key, value)
		}
		return err
	}
	_ = s.memory.Delete(uncancelled, key)
	s.move(ctx)
	return nil
}

// Delete removes key from the memory and from the keyring, if there is one.
func (s *memoryFallback) Delete(ctx context.Context, key string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.memory.Delete(ctx, key); err != nil || s.reach(ctx) != nil {
		return err
	}
	return s.late.keyring.Delete(ctx, key)
}

// Keys lists the keys in the memory and in the keyring, if there is one.
func (s *memoryFallback) Keys(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	keys, err := s.memory.Keys(ctx)
	if err != nil || s.reach(ctx) != nil {
		return keys, err
	}
	more, err := s.late.keyring.Keys(ctx)
	if err != nil {
		return nil, err
	}
	return union(keys, more), nil
}

// Describe describes the memory until the keyring has all values.
func (s *memoryFallback) Describe() store.Info {
	if !s.arrived.Load() {
		return store.Info{Kind: Memory, Advice: "sign-ins end with the daemon: " + s.late.reason().Error()}
	}
	info := store.Describe(s.late.keyring)
	if left, _ := s.memory.Keys(context.Background()); len(left) > 0 {
		advice := cmp.Or(info.Advice, "they are moved to the keyring at the next sign-in or refresh")
		return store.Info{Kind: Memory, Advice: "sign-ins end with the daemon: " + advice}
	}
	return info
}

// reach returns nil if there is a keyring, locked and silent ones included, else the
// reason why not.
func (s *memoryFallback) reach(ctx context.Context) error {
	if s.arrived.Load() {
		return nil
	}
	err := s.late.ask(ctx, func() error {
		_, err := s.late.keyring.Keys(ctx)
		return err
	})
	if ctx.Err() != nil || !keyring.IsThere(err) {
		return err
	}
	s.arrived.Store(true)
	s.log.InfoContext(ctx, "store chosen: there is a keyring now", "kind", Keyring, "keyring", err)
	return nil
}

// move gives the keyring, which has just answered, what the memory holds. What it does
// not take is moved after a later operation.
func (s *memoryFallback) move(ctx context.Context) {
	keys, _ := s.memory.Keys(ctx)
	for _, key := range keys {
		value, err := s.memory.Get(ctx, key)
		if err == nil {
			err = s.late.keyring.Put(ctx, key, value)
		}
		if err != nil {
			s.log.WarnContext(ctx, "a sign-in could not be moved from the memory to the keyring; trying again", "env", key, "error", err)
			return
		}
		_ = s.memory.Delete(context.WithoutCancel(ctx), key)
	}
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
