// Package memory keeps values in memory only: they are lost when the process ends.
//
// The agent falls back on it when there is neither a keyring nor a key for
// store/file, and tests use it. New makes one.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/internal/validate"
)

// Advice tells a person how to get a store that outlives the daemon.
const Advice = `sign-ins end with the daemon; to keep them, run kyc-agentd keygen, set store = "auto" in config.toml and run kyc-agentd reload`

// Store is a [store.Store] in memory.
type Store struct {
	mu     sync.Mutex
	values map[string][]byte
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Describer = (*Store)(nil)
)

// New returns an empty store.
func New() *Store { return &Store{values: map[string][]byte{}} }

// Get returns the value of key.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := validate.Args(ctx, "memory", key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok {
		return nil, fmt.Errorf("memory: %s: %w", key, store.ErrNotFound)
	}
	return bytes.Clone(v), nil
}

// Put stores value under key.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := validate.Args(ctx, "memory", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = bytes.Clone(value)
	return nil
}

// Delete removes key.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := validate.Args(ctx, "memory", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	return nil
}

// Keys lists the keys in ascending order.
func (s *Store) Keys(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.values)), nil
}

// Describe describes the store; its Advice is how to get one that outlives the daemon.
func (s *Store) Describe() store.Info {
	return store.Info{Kind: "memory", Advice: Advice}
}
