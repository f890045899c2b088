package auto

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

// A fileFallback keeps values in files. A value that it does not have, and that is found
// in the keyring once that can be reached, stays there: it is never moved silently from
// the one to the other.
type fileFallback struct {
	file store.Store
	late *lateKeyring

	mu    sync.Mutex
	homes map[string]home
}

// A home is where the value of a key was found or put the last time.
type home int

const (
	unknown home = iota
	inFile
	inKeyring
)

var (
	_ store.Store     = (*fileFallback)(nil)
	_ store.Describer = (*fileFallback)(nil)
	_ store.Checker   = (*fileFallback)(nil)
	_ io.Closer       = (*fileFallback)(nil)
)

func newFileFallback(file store.Store, late *lateKeyring) *fileFallback {
	return &fileFallback{file: file, late: late, homes: map[string]home{}}
}

// Get returns the value of key from its file, else from the keyring.
func (s *fileFallback) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := s.file.Get(ctx, key)
	if err == nil {
		s.setHome(key, inFile)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return value, err
	}
	missing := err
	err = s.late.ask(ctx, func() (err error) {
		value, err = s.late.keyring.Get(ctx, key)
		return err
	})
	switch {
	case err == nil:
		s.setHome(key, inKeyring)
		return value, nil
	case errors.Is(err, store.ErrNotFound):
		s.setHome(key, unknown)
		return nil, missing
	case !keyring.IsThere(err) && s.home(key) != inKeyring:
		return nil, notReached(ctx, key, err)
	}
	return nil, err
}

// Put stores value under key in the keyring if that has this key already, else in a file.
func (s *fileFallback) Put(ctx context.Context, key string, value []byte) error {
	if s.home(key) == unknown {
		_, _ = s.Get(ctx, key)
	}
	if s.home(key) == inKeyring {
		return s.late.keyring.Put(ctx, key, value)
	}
	err := s.file.Put(ctx, key, value)
	if err == nil {
		s.setHome(key, inFile)
	}
	return err
}

// Delete removes key from both. That it could not ask the keyring is an error only if the
// value was there.
func (s *fileFallback) Delete(ctx context.Context, key string) error {
	if err := s.file.Delete(ctx, key); err != nil {
		return err
	}
	err := s.late.ask(ctx, func() error { return s.late.keyring.Delete(ctx, key) })
	if err != nil && s.home(key) == inKeyring {
		return err
	}
	s.setHome(key, unknown)
	return nil
}

// Keys lists the keys that have files, and those in the keyring if that can be reached.
func (s *fileFallback) Keys(ctx context.Context) ([]string, error) {
	keys, err := s.file.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var more []string
	_ = s.late.ask(ctx, func() (err error) {
		more, err = s.late.keyring.Keys(ctx)
		return err
	})
	return union(keys, more), nil
}

// Intact checks the file store.
func (s *fileFallback) Intact(ctx context.Context) (bool, error) {
	if c, ok := s.file.(store.Checker); ok {
		return c.Intact(ctx)
	}
	return true, nil
}

// Describe describes the file store. Its Advice names the sign-ins that are in the keyring.
func (s *fileFallback) Describe() store.Info {
	info := store.Describe(s.file)
	s.mu.Lock()
	defer s.mu.Unlock()
	var elsewhere []string
	for _, key := range slices.Sorted(maps.Keys(s.homes)) {
		if s.homes[key] == inKeyring {
			elsewhere = append(elsewhere, key)
		}
	}
	if len(elsewhere) > 0 {
		info.Advice = "kept in the keyring, which could not be reached when the agent started: " + strings.Join(elsewhere, ", ")
	}
	return info
}

// HandOver hands on the lock of the file store.
func (s *fileFallback) HandOver() error { return HandOver(s.file) }

// Close closes the file store.
func (s *fileFallback) Close() error { return Close(s.file) }

func (s *fileFallback) home(key string) home {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.homes[key]
}

func (s *fileFallback) setHome(key string, h home) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.homes[key] = h
}
