package auto

// A daemon that cron, systemd or a boot starts may be there before the desktop, and the
// sign-ins may be in the desktop's keyring. So what is used instead of the keyring asks
// for it again.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// defaultInterval is the time between two attempts to reach a keyring: each of them
// starts a process.
const defaultInterval = 2 * time.Second

// A lateKeyring is a keyring that could not be reached when the daemon started.
type lateKeyring struct {
	keyring  store.Store
	interval time.Duration // between two attempts while it cannot be reached

	mu      sync.Mutex
	tried   time.Time
	because error // why it could not be reached the last time; nil if it could
}

// ask calls do, which performs an operation of the keyring. If the keyring could not be
// reached a moment ago, ask returns that error instead.
func (k *lateKeyring) ask(ctx context.Context, do func() error) error {
	k.mu.Lock()
	because, tried := k.because, k.tried
	k.mu.Unlock()
	if because != nil && time.Since(tried) < k.interval {
		return because
	}
	err := do()
	if ctx.Err() != nil {
		return endOf(ctx) // which says nothing about the keyring
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.because = time.Now(), nil
	if errors.Is(err, store.ErrUnavailable) {
		k.because = err
	}
	return err
}

// reason returns why the keyring could not be reached the last time, and nil if it could.
func (k *lateKeyring) reason() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.because
}

// notReached is the miss of key where the keyring may have it. It is not final: see
// [store.Store].
func notReached(ctx context.Context, key string, because error) error {
	if ctx.Err() != nil {
		return because
	}
	return fmt.Errorf("%s: %w in the store that is used instead of the keyring: %w", key, store.ErrNotFound, because)
}

func endOf(ctx context.Context) error {
	return fmt.Errorf("keyring %w: %w", store.ErrUnavailable, ctx.Err())
}

// union returns the keys of both lists in ascending order.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
