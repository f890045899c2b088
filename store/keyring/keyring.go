// Package keyring keeps values in the desktop's keyring: the Secret Service on
// Linux (gnome-keyring, KWallet, KeePassXC), the keychain on macOS, the credential
// manager on Windows.
//
// The daemon calls New. The program that New is told to run, which is the same binary
// with a hidden verb, calls Child:
//
//	st := keyring.New(keyring.Options{Command: keyring.SelfCommand("keyring-child")})
//	…
//	os.Exit(keyring.Child(daemon.Undumpable, os.Stdin, os.Stdout)) // kyc-agentd keyring-child
//
// Every operation runs in a new child process, because the library (go-keyring) has no
// deadline, waits without limit for a keyring that hangs, and panics when the bus goes
// away during a prompt. A child can be killed. Secrets are passed over a pair of sockets in both
// directions, never in the child's arguments or environment, and only after the child has
// said that no other process of the user can read its memory.
//
// A keyring protects less than store/file does: any process of the same user may read
// every item, and on Linux values cross the session bus unencrypted.
package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/internal/validate"
)

const (
	// service is the service name of the agent's items in the keyring; the key is the
	// item's user name.
	service = "kyc-agent"

	defaultTimeout       = 3 * time.Second
	defaultPromptTimeout = 120 * time.Second
)

// Options configures a Store.
type Options struct {
	// Command is the argv of a program that calls Child; see SelfCommand.
	Command []string
	// Getenv looks up the variables for the child's environment. Nil means os.Getenv.
	Getenv func(string) string
	// Timeout bounds an operation; 0 means 3 s.
	Timeout time.Duration
	// PromptTimeout bounds an operation whose context may prompt (store.WithPrompt),
	// because a person then has to type a password; 0 means 120 s.
	PromptTimeout time.Duration
	// Logger receives one line per operation at debug level, without values. Nil discards it.
	Logger *slog.Logger
}

// Store is a [store.Store] in the keyring. One child runs at a time; other operations
// wait for it, at most as long as an operation may take.
type Store struct {
	options   Options
	slot      chan struct{} // capacity 1; an operation takes the token while it runs
	lastError atomic.Pointer[string]
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Describer = (*Store)(nil)
)

// New returns a store. It does not contact the keyring; the first operation fails if
// there is none.
func New(o Options) *Store {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.PromptTimeout = cmp.Or(o.PromptTimeout, defaultPromptTimeout)
	s := &Store{options: o, slot: make(chan struct{}, 1)}
	s.slot <- struct{}{}
	return s
}

// Get returns the value of key. Without store.WithPrompt the keyring never asks for a
// password: if it is locked, the error is ErrLocked.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := validate.Args(ctx, "keyring", key); err != nil {
		return nil, err
	}
	a, err := s.do(ctx, request{Op: opGet, Key: key})
	if err != nil {
		return nil, err
	}
	return a.Value, nil
}

// Put stores value under key. It reads the value back and compares it before it returns
// nil, because go-keyring reports success when a person has dismissed the keyring's
// prompt. After an ErrUnavailable a keyring that hung may still store the value when it
// continues, but it does so before any later request.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := validate.Args(ctx, "keyring", key); err != nil {
		return err
	}
	if len(value) > maxValue {
		return fmt.Errorf("keyring: a value of %d bytes is above the limit of %d", len(value), maxValue)
	}
	_, err := s.do(ctx, request{Op: opPut, Key: key, Value: value})
	return err
}

// Delete removes key and verifies that it is gone.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := validate.Args(ctx, "keyring", key); err != nil {
		return err
	}
	_, err := s.do(ctx, request{Op: opDelete, Key: key})
	return err
}

// Keys lists the keys in ascending order. It reads the items' attributes but no secret.
func (s *Store) Keys(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	a, err := s.do(ctx, request{Op: opKeys})
	if err != nil {
		return nil, err
	}
	return a.Keys, nil
}

// Describe describes the keyring. Advice is the error of the last operation, if it
// failed because the keyring could not be used.
func (s *Store) Describe() store.Info {
	info := store.Info{Kind: "keyring", Detail: provider, Lasting: true}
	if text := s.lastError.Load(); text != nil {
		info.Advice = *text
	}
	return info
}

// do runs one request in a child and turns its answer into a result or an error.
func (s *Store) do(ctx context.Context, r request) (answer, error) {
	r.Prompt = store.MayPrompt(ctx)
	limit := s.options.Timeout
	if r.Prompt {
		limit = s.options.PromptTimeout
	}
	// The child ends by its own limit only if the daemon was killed.
	r.Ready, r.Limit = min(s.options.Timeout, limit), limit+time.Second
	start := time.Now()
	a, err := s.runExclusive(ctx, r, limit)
	if err == nil {
		err = a.err(r)
	}
	s.setLastError(err)
	s.options.Logger.DebugContext(ctx, "keyring", "op", r.Op, "key", r.Key, "prompt", r.Prompt,
		"duration", time.Since(start), "error", err)
	return a, err
}

// runExclusive waits, no longer than limit, until no other child runs, and then runs r
// in one.
func (s *Store) runExclusive(ctx context.Context, r request, limit time.Duration) (answer, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.slot:
		defer func() { s.slot <- struct{}{} }()
		return s.run(ctx, r, limit)
	case <-timer.C:
		return answer{}, fmt.Errorf("keyring %w: still busy after %v with another operation; answer its prompt if one is open, or try again",
			store.ErrUnavailable, limit)
	case <-ctx.Done():
		return answer{}, fmt.Errorf("keyring %w: %w", store.ErrUnavailable, ctx.Err())
	}
}

// setLastError sets what Describe advises. It ignores a caller's cancellation or
// deadline, which says nothing about the keyring.
func (s *Store) setLastError(err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	if errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrUnavailable) {
		s.lastError.Store(new(err.Error()))
	} else {
		s.lastError.Store(nil)
	}
}
