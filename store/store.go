// Package store keeps small secrets by key and knows nothing of what they mean.
//
// The agent keeps one record per environment here, and little else. A newcomer needs
// one call: Open of package store/auto, which opens the implementation asked for
// (store/keyring, store/file, store/memory) or picks one. The agent then calls Get at
// the first request for an environment and Put whenever its sign-in changed.
//
// Every implementation passes the one conformance suite in store/storetest.
package store

import (
	"context"
	"errors"
	"regexp"
)

// A Store keeps values by key. Implementations are safe for concurrent use, and
// values passed in or handed out are never shared with the caller.
//
// Errors: [ErrNotFound] is the only "nothing there". An error wrapping
// [ErrLocked] means that a person has to unlock the store first. Every other
// error means "could not tell": the caller keeps what it has and tries again.
// No error text ever holds a value.
type Store interface {
	// Get returns the value of key, or an error wrapping ErrNotFound.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put makes value durable under key before it returns nil. After an error the
	// old value or the new one is there, whole.
	Put(ctx context.Context, key string, value []byte) error
	// Delete removes key; a key that is not there is no error.
	Delete(ctx context.Context, key string) error
	// Keys lists the keys in ascending order. It reads no value.
	Keys(ctx context.Context) ([]string, error)
}

var (
	// ErrNotFound says that the store was read and holds no such key.
	ErrNotFound = errors.New("not found")
	// ErrLocked says that the store is there and a person has to unlock it.
	ErrLocked = errors.New("locked")
	// ErrUnavailable says that the store could not be reached or did not answer in time.
	ErrUnavailable = errors.New("unavailable")
)

// MaxValue is the largest value, in bytes, that every implementation takes:
// Windows credentials end at 2,560 bytes and macOS's at about 3,000 after
// encoding, so records are held below both.
const MaxValue = 2200

// Info says what a store is, for a person reading `status`.
type Info struct {
	// Kind is "keyring", "file" or "memory".
	Kind string `json:"kind"`
	// Detail says where: a folder, a service. Empty when Kind says it all.
	Detail string `json:"detail,omitempty"`
	// Lasting says whether values survive the daemon.
	Lasting bool `json:"lasting"`
	// Advice says what to do for a better store, or is empty.
	Advice string `json:"advice,omitempty"`
}

// A Describer is a Store that can say what it is.
type Describer interface {
	Describe() Info
}

// Describe returns what s says of itself, or a zero Info.
func Describe(s Store) Info {
	if d, ok := s.(Describer); ok {
		return d.Describe()
	}
	return Info{}
}

type promptKey struct{}

// WithPrompt marks ctx: a person is at the terminal, so an operation may wait
// for them to answer an unlock prompt. Without it no operation waits for a person.
func WithPrompt(ctx context.Context) context.Context {
	return context.WithValue(ctx, promptKey{}, true)
}

// MayPrompt reports whether ctx came from [WithPrompt].
func MayPrompt(ctx context.Context) bool {
	ok, _ := ctx.Value(promptKey{}).(bool)
	return ok
}

var keyPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidKey reports whether key can be used with every implementation: lower-case
// letters, digits, '-' and '_', at most 63 bytes. Implementations refuse others,
// so a key can never leave a store's folder.
func ValidKey(key string) bool { return keyPattern.MatchString(key) }
