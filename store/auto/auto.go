// Package auto opens the store that the configuration names, or the best one that is
// available: the keyring, else encrypted files, else memory. The latter two look for the
// keyring again while the daemon runs, and use what is in it. Reopen moves what is in memory
// to a store that can be opened now.
//
//	st, err := auto.Open(ctx, auto.Options{
//		Kind: cfg.Store, KeyFile: cfg.StoreKeyFile,
//		KeyringCommand: keyring.SelfCommand("keyring-child"),
//	})
//
// store.Describe returns which store was opened. Call Close at the end: a file store
// keeps its folder locked until then. Close does nothing for the other stores.
package auto

import (
	"cmp"
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
	// KeyFile is the file with the file store's key (store_key_file). If it is empty,
	// only $CREDENTIALS_DIRECTORY/kyc-agentd.key is tried.
	KeyFile string
	// NewKeyFile is where a key would be found if somebody made one: see store.Info.NewKey.
	NewKeyFile string
	// Getenv looks up the environment. Nil means os.Getenv.
	Getenv func(string) string
	// KeyringCommand is the argv of a program that calls keyring.Child.
	KeyringCommand []string
	// KeyringTimeout bounds each operation of the keyring, and therefore how long the
	// choice can take. 0 means 3 s.
	KeyringTimeout time.Duration
	// KeyringInterval is how often a keyring that could not be reached at the start is
	// looked for again, at most. 0 means 2 s.
	KeyringInterval time.Duration
	// Logger receives one line about the choice. Nil discards it.
	Logger *slog.Logger
}

// Open opens the store of o.Kind. It reads no value and needs no network. The text of
// an error ends with the next command to type.
//
// Open does not check whether a keyring that o.Kind names is running, so that a daemon
// that starts before the desktop works as soon as the keyring does.
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
		return newMemoryFallback(nil, "", o.Logger), nil
	}
	return nil, fmt.Errorf("store = %.80q is unknown; set it to auto, keyring, file or memory", o.Kind)
}

// choose opens the keyring if there is one, locked and silent ones included, because
// sign-ins may be in it; else the file store if there is a key for it; else a store in
// memory whose Advice gives the reason and how to get one that outlives the daemon. It
// takes no longer than one operation of the keyring.
//
// A key or folder that exists but cannot be used is an error: falling back on memory
// would lose the sign-ins that the owner of the key wants to keep.
func choose(ctx context.Context, o Options) (store.Store, error) {
	kr := o.keyring()
	_, unusable := kr.Keys(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("choose a store: %w", err)
	}
	if keyring.IsThere(unusable) {
		return o.logChoice(kr, unusable), nil
	}
	late := &lateKeyring{keyring: kr, interval: o.KeyringInterval, tried: time.Now(), because: unusable}
	st, err := o.file()
	if err == nil {
		return o.logChoice(newFileFallback(st, late), unusable), nil
	}
	if !errors.Is(err, file.ErrNoKey) {
		return nil, err
	}
	return o.logChoice(newMemoryFallback(late, o.NewKeyFile, o.Logger), unusable), nil
}

// HandOver keeps the lock of a file store's folder for the next image of this process.
func HandOver(st store.Store) error {
	if h, ok := st.(interface{ HandOver() error }); ok {
		return h.HandOver()
	}
	return nil
}

// Close releases the folder of a file store.
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
	o.KeyringInterval = cmp.Or(o.KeyringInterval, defaultInterval)
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

// file returns an interface, because a nil *file.Store in one would not be nil.
func (o Options) file() (store.Store, error) {
	ids, path, err := file.FindIdentity(o.Getenv, o.KeyFile)
	if err != nil {
		return nil, err
	}
	st, err := file.Open(o.Dir, ids...)
	if err != nil {
		return nil, err
	}
	st.KeyFile = path
	return st, nil
}
