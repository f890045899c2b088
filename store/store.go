// Package store keeps small secrets by key and knows nothing of what they mean.
//
// The agent keeps one record per environment here, and little else. Open of package
// store/auto opens the implementation that the configuration names (store/keyring,
// store/file, store/memory) or chooses one. The agent then calls Get at the first
// request for an environment and Put whenever its sign-in changed.
//
// Every implementation passes the one conformance suite in store/storetest.
package store

import (
	"context"
	"errors"
	"regexp"
	"sync"
)

// A Store keeps values by key. Implementations are safe for concurrent use, and
// values passed in or handed out are never shared with the caller.
//
// Errors: only [ErrNotFound] means that there is no value. Three kinds need a person,
// and trying again is of no use until then: after [ErrLocked] the store has to be
// unlocked, after [ErrDamaged] a new value has to be Put, after [ErrUnusable] a file or
// folder has to be corrected. After any other error it is unknown whether there is a
// value: the caller keeps what it has and tries again. That includes an ErrNotFound that
// wraps [ErrUnavailable], too: a part of the store could not be reached and may have the
// value. No error text ever contains a value, and none advises to end the process while
// it may hold the only good copy.
type Store interface {
	// Get returns the value of key, or an error wrapping ErrNotFound.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put makes value durable under key before it returns nil. After an error the
	// store holds either the old value or the new one, complete. A Put that was given
	// up may still take effect, but before any later Put or Delete.
	Put(ctx context.Context, key string, value []byte) error
	// Delete removes key. It is no error if there is no such key.
	Delete(ctx context.Context, key string) error
	// Keys lists the keys in ascending order, without reading any value.
	Keys(ctx context.Context) ([]string, error)
}

var (
	// ErrNotFound means that the store was read and has no such key.
	ErrNotFound = errors.New("not found")
	// ErrLocked means that the store exists and a person has to unlock it.
	ErrLocked = errors.New("locked")
	// ErrDamaged means that there is a value and nobody will read it again: it was cut
	// short or altered, or it is encrypted to a key that the store does not have. Put
	// replaces it and Delete removes it.
	ErrDamaged = errors.New("damaged")
	// ErrUnusable means that the store refuses a file or folder until a person has
	// corrected it: it is open to others, belongs to somebody else or may not be opened,
	// something else is in its place, or another process holds its lock. The text of the
	// error ends with the command to type.
	ErrUnusable = errors.New("unusable")
	// ErrUnavailable means that the store could not be reached or did not answer in time.
	ErrUnavailable = errors.New("unavailable")
)

// MaxValue is the largest value, in bytes, that every implementation accepts.
// A record of 2,200 bytes that is wrapped with a passphrase has about 2,500. macOS takes about
// 4,000 bytes of command, with the value in base64, and a Windows credential 2,560 bytes.
const MaxValue = 2600

// A Checker is a Store that can tell at little cost whether values were taken from it.
type Checker interface {
	// Intact reports whether the store still has every value that was read or put since it
	// was opened, and not deleted. It returns false if a value is gone, and after the whole
	// store was replaced, because that may have older values; the next call begins anew.
	Intact(ctx context.Context) (bool, error)
}

// Info describes a store to a person who reads `status`.
type Info struct {
	// Kind is "keyring", "file" or "memory", or "kubernetes" or "postgres" for a fleet's.
	Kind string `json:"kind"`
	// Detail is where the store is: a folder or a service. It is empty for "memory".
	Detail string `json:"detail,omitempty"`
	// Lasting is whether values survive the end of the daemon.
	Lasting bool `json:"lasting"`
	// Key is the file with the key of the values: of a "file" store.
	Key string `json:"key,omitempty"`
	// NewKey is where `kyc-agentd keygen` would make the key for which the values would be kept
	// in files, by a reload. It is empty if that would not help.
	NewKey string `json:"new_key,omitempty"`
	// Advice is what a person can do to get a better store; empty for none.
	Advice string `json:"advice,omitempty"`
}

// A Describer is a Store that can say what it is.
type Describer interface {
	Describe() Info
}

// Describe returns s's description of itself, or a zero Info if it has none.
func Describe(s Store) Info {
	if d, ok := s.(Describer); ok {
		return d.Describe()
	}
	return Info{}
}

type promptKey struct{}

// WithPrompt returns a context for operations that may wait until a person at the
// terminal has answered an unlock prompt. Without it no operation waits for a person.
func WithPrompt(ctx context.Context) context.Context {
	return context.WithValue(ctx, promptKey{}, true)
}

// MayPrompt reports whether ctx came from [WithPrompt].
func MayPrompt(ctx context.Context) bool {
	ok, _ := ctx.Value(promptKey{}).(bool)
	return ok
}

var keyPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`) })

// ValidKey reports whether key can be used with every implementation: lower-case
// letters, digits, '-' and '_', at most 63 bytes. Implementations refuse any other
// key, so that no key can name a file outside a store's folder.
func ValidKey(key string) bool { return keyPattern().MatchString(key) }
