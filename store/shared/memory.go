package shared

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// Memory is an Engine for the agents of one process, which is for tests.
type Memory struct {
	mu      sync.Mutex
	values  map[string][]byte
	changed chan struct{} // closed at the next change
	fault   error
}

// NewMemory returns an empty one.
func NewMemory() *Memory {
	return &Memory{values: map[string][]byte{}, changed: make(chan struct{})}
}

// Fail makes every call fail with err, until that is nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
	m.wakeLocked()
}

func (m *Memory) wakeLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Get implements [Engine].
func (m *Memory) Get(ctx context.Context, key string) (Value, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.getLocked(ctx, key)
}

func (m *Memory) getLocked(ctx context.Context, key string) (Value, error) {
	if err := m.failLocked(ctx, key); err != nil {
		return Value{}, err
	}
	return Value{Data: bytes.Clone(m.values[key]), At: time.Now().Round(0), Asked: time.Now()}, nil
}

func (m *Memory) failLocked(ctx context.Context, key string) error {
	switch {
	case ctx.Err() != nil:
		return Errorf(store.ErrUnavailable, "memory: %w", ctx.Err())
	case !store.ValidKey(key):
		return fmt.Errorf("memory: invalid key %.64q", key)
	}
	return m.fault
}

// Swap implements [Engine].
func (m *Memory) Swap(ctx context.Context, key string, old, new []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failLocked(ctx, key); err != nil {
		return err
	}
	if now, ok := m.values[key]; ok != (old != nil) || !bytes.Equal(now, old) {
		return fmt.Errorf("memory: %s: %w", key, ErrConflict)
	}
	if m.values[key] = bytes.Clone(new); new == nil {
		delete(m.values, key) // as an administrator may
	}
	m.wakeLocked()
	return nil
}

// Watch implements [Engine].
func (m *Memory) Watch(ctx context.Context, key string, known []byte, _ time.Duration) (Value, error) {
	for {
		m.mu.Lock()
		v, err := m.getLocked(ctx, key)
		changed := m.changed
		m.mu.Unlock()
		if err != nil || !bytes.Equal(v.Data, known) {
			return v, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Value{}, Errorf(store.ErrUnavailable, "memory: %w", ctx.Err())
		}
	}
}

// Describe implements [store.Describer].
func (m *Memory) Describe() store.Info { return store.Info{Kind: "memory"} }
