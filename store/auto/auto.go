// Package auto opens the store that the configuration names, or the best one there
// is: the keyring, else encrypted files, else memory.
//
// A newcomer needs one call, Open:
//
//	st, err := auto.Open(ctx, auto.Options{
//		Kind: cfg.Store, KeyFile: cfg.StoreKeyFile,
//		KeyringCommand: keyring.SelfCommand("keyring-child"),
//	})
//
// What was opened is told by store.Describe. A file store holds its folder: call
// Close at the end, which does nothing for the others.
package auto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// The kinds of store that Options.Kind can name.
const (
	Auto    = "auto"
	Keyring = "keyring"
	File    = "file"
	Memory  = "memory"
)

// Options says which store to open and what it needs.
type Options struct {
	// Kind is auto, keyring, file or memory. Empty means auto.
	Kind string
	// Dir is the file store's folder. Empty means file.DefaultDir.
	Dir string
	// KeyFile holds the file store's key (store_key_file). Empty means that only
	// $CREDENTIALS_DIRECTORY/kyc-agentd.key is looked at.
	KeyFile string
	// Getenv looks up the environment. Nil means os.Getenv.
	Getenv func(string) string
	// KeyringCommand is the argv of a program that calls keyring.Child.
	KeyringCommand []string
	// KeyringTimeout bounds each operation of the keyring, and so how long the
	// choice can take. 0 means 3 s.
	KeyringTimeout time.Duration
	// Logger gets a line about the choice. Nil discards.
	Logger *slog.Logger
}

// Open opens the store of o.Kind. It reads no value and needs no network. An error
// says what to type next.
//
// A keyring that is named is not asked whether it is there, so that a daemon which
// starts before the desktop does works as soon as the keyring does.
func Open(ctx context.Context, o Options) (store.Store, error) {
	o = o.withDefaults()
	switch o.Kind {
	case Auto, "":
		return choose(ctx, o)
	case Keyring:
		return o.keyring(), nil
	case File:
		st, err := o.file()
		if errors.Is(err, file.ErrNoKey) {
			return nil, fmt.Errorf(`store = "file": %w`, err)
		}
		return st, err
	case Memory:
		return memory.New(), nil
	}
	return nil, fmt.Errorf("store = %.80q is unknown; set it to auto, keyring, file or memory", o.Kind)
}

// choose opens the keyring if it answers, or is there and locked; else the file
// store if there is a key for it; else a store in memory whose Advice says why, and
// how to get a lasting one. It takes no longer than one operation of the keyring.
//
// A key or folder that is there and cannot be used is an error: to go on in memory
// would lose the sign-ins that someone took care to keep.
func choose(ctx context.Context, o Options) (store.Store, error) {
	o = o.withDefaults()
	kr := o.keyring()
	_, unusable := kr.Keys(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("choose a store: %w", err)
	}
	if unusable == nil || errors.Is(unusable, store.ErrLocked) {
		return o.logChoice(kr, unusable), nil
	}
	st, err := o.file()
	if err == nil {
		return o.logChoice(st, unusable), nil
	}
	if !errors.Is(err, file.ErrNoKey) {
		return nil, err
	}
	return o.logChoice(memoryFallback(unusable), unusable), nil
}

// Close frees what st holds.
func Close(st store.Store) error {
	if c, ok := st.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		o.Dir = file.DefaultDir(o.Getenv)
	}
	return o
}

func (o Options) logChoice(st store.Store, because error) store.Store {
	info := store.Describe(st)
	o.Logger.Info("store chosen", "kind", info.Kind, "detail", info.Detail, "keyring", because)
	return st
}

func (o Options) keyring() *keyring.Store {
	return keyring.New(keyring.Options{
		Command: o.KeyringCommand, Getenv: o.Getenv, Timeout: o.KeyringTimeout, Logger: o.Logger,
	})
}

// file returns an interface so that there is no nil *file.Store in one.
func (o Options) file() (store.Store, error) {
	ids, _, err := file.FindIdentity(o.Getenv, o.KeyFile)
	if err != nil {
		return nil, err
	}
	st, err := file.Open(o.Dir, ids...)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// withInfo is a store whose Describe says more than the store knows.
type withInfo struct {
	store.Store
	info store.Info
}

func (d withInfo) Describe() store.Info { return d.info }

// memoryFallback is a store in memory that says why it is not the keyring.
func memoryFallback(unusable error) store.Store {
	m := memory.New()
	info := m.Describe()
	info.Advice = "sign-ins end with the daemon: " + unusable.Error()
	return withInfo{m, info}
}
