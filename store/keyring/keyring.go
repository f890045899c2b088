// Package keyring keeps values in the desktop's keyring: the Secret Service on
// Linux (gnome-keyring, KWallet, KeePassXC), the keychain on macOS, the credential
// manager on Windows.
//
// A newcomer needs two calls: New in the daemon, and Child in the program that New
// was told to run, which is the same binary under a hidden verb:
//
//	st := keyring.New(keyring.Options{Command: keyring.SelfCommand("keyring-child")})
//	…
//	os.Exit(keyring.Child(os.Stdin, os.Stdout)) // kyc-agentd keyring-child
//
// Every operation runs in a child process of its own, because the library beneath
// (go-keyring) has no deadline, waits for ever for a keyring that hangs, and panics
// when the bus goes away in mid-prompt. A child can be killed. Secrets cross to it
// and back over pipes, never in its arguments or environment.
//
// What the keyring itself promises is less than store/file does: any process of the
// same user may read every item, and on Linux values cross the session bus unencrypted.
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
	// service is the name our items carry in the keyring; the key is the item's user.
	service = "kyc-agent"

	defaultTimeout       = 3 * time.Second
	defaultPromptTimeout = 120 * time.Second
)

// Options is what a Store is made of.
type Options struct {
	// Command is the argv of a program that calls Child; see SelfCommand.
	Command []string
	// Getenv looks up the environment that the child's is made from. Nil means os.Getenv.
	Getenv func(string) string
	// Timeout bounds an operation; 0 means 3 s.
	Timeout time.Duration
	// PromptTimeout bounds one whose context may prompt (store.WithPrompt), because
	// a person then has to type a password; 0 means 120 s.
	PromptTimeout time.Duration
	// Logger gets a line per operation at debug level, without values. Nil discards.
	Logger *slog.Logger
}

// Store is a [store.Store] in the keyring. One child runs at a time; the others
// wait their turn as long as an operation may take, and no longer.
type Store struct {
	options   Options
	slot      chan struct{} // holds one token
	lastError atomic.Pointer[string]
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Describer = (*Store)(nil)
)

// New returns a store. It touches no keyring: whether there is one shows at the
// first operation.
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

// Get returns the value of key. Without store.WithPrompt it never makes the keyring
// ask for a password: a locked one is ErrLocked.
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

// Put keeps value under key. After an ErrUnavailable a keyring that hung may still
// take it up when it goes on; it does so before anything it is asked later. It is read back and compared before Put returns nil:
// go-keyring reports success when a person dismissed the keyring's prompt.
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

// Delete removes key, and looks that it is gone.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := validate.Args(ctx, "keyring", key); err != nil {
		return err
	}
	_, err := s.do(ctx, request{Op: opDelete, Key: key})
	return err
}

// Keys lists the keys in ascending order. It reads the items' attributes, no secret.
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

// Describe says which keyring this is. Its Advice is what the last operation
// failed with, if it failed because the keyring could not be used.
func (s *Store) Describe() store.Info {
	info := store.Info{Kind: "keyring", Detail: provider, Lasting: true}
	if trouble := s.lastError.Load(); trouble != nil {
		info.Advice = *trouble
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
	// The child's own limit is an afterthought, for a daemon that was killed.
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

// runExclusive waits for the child before this one to end, no longer than limit, and
// then runs one of its own.
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

// setLastError keeps what Describe advises. A caller that gave up says nothing about the keyring.
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
