// Package file keeps one age-encrypted file per key in a folder that only its owner can
// open. FindIdentity loads the key that `kyc-agentd keygen` made, and Open opens the
// store:
//
//	ids, _, err := file.FindIdentity(os.Getenv, cfg.StoreKeyFile)
//	st, err := file.Open(file.DefaultDir(os.Getenv), ids...)
//
// After Put has returned nil, the value survives kill -9 and power loss; until then the
// store holds either the old value or the new one, complete. Nobody but the owner can
// open the folder, and without the identity its files reveal only their names, sizes
// and times.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/internal/handover"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/internal/validate"
)

const (
	suffix = ".age"
	// maxFile bounds how much is read into memory. The agent's records are smaller
	// than store.MaxValue; encryption adds about 1.7 kB.
	maxFile  = 1 << 20
	maxValue = maxFile / 2
)

// Both are a [store.ErrDamaged].
var (
	// ErrWrongKey means that a file is encrypted to other identities than the store's.
	ErrWrongKey error = damage("encrypted to another key")
	// ErrDamaged means that a file is no age file, was cut short or was altered.
	ErrDamaged error = damage("damaged")
)

type damage string

func (d damage) Error() string { return string(d) }

// Is matches [store.ErrDamaged].
func (d damage) Is(target error) bool { return target == store.ErrDamaged }

// Store is a [store.Store] in a folder. It is safe for concurrent use by one
// process; Open fails while another process has the folder open.
//
// No operation takes longer than 3 s, whatever the file system does. Each of them looks
// whether the folder was removed or replaced, and then opens the new one as Open does.
type Store struct {
	// KeyFile is where the key came from, for Describe.
	KeyFile string

	dir       string
	ids       []age.Identity
	recipient age.Recipient

	// Readers do not wait for a writer: a rename is atomic, so they see either the old
	// file or the new one.
	reads, writes *lane

	mu     sync.Mutex // held while the folder is opened; see current
	folder *folder    // nil before Open and after Close
	closed atomic.Bool

	seen seenKeys
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Describer = (*Store)(nil)
	_ store.Checker   = (*Store)(nil)
	_ io.Closer       = (*Store)(nil)
)

// DefaultDir is the folder for the files: $XDG_STATE_HOME/kyc-agent, else
// ~/.local/state/kyc-agent. It is empty if neither XDG_STATE_HOME nor HOME is an
// absolute path: the XDG base directory specification says to ignore relative ones.
func DefaultDir(getenv func(string) string) string {
	return xdg(getenv, "XDG_STATE_HOME", ".local/state")
}

func xdg(getenv func(string) string, name, below string) string {
	if dir := getenv(name); filepath.IsAbs(dir) {
		return filepath.Join(dir, "kyc-agent")
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, below, "kyc-agent")
	}
	return ""
}

// Open opens the store in dir and makes the folder if there is none. The first
// identity encrypts and all of them decrypt, so a key is changed by adding the new one
// at the top of the key file. Open reads no value.
//
// It fails if the folder is open to others, belongs to someone else, cannot be written,
// or is in use by another process; the message says what to type.
func Open(dir string, identities ...age.Identity) (*Store, error) {
	if dir == "" {
		return nil, errors.New("file store: no folder to keep files in; set HOME or XDG_STATE_HOME")
	}
	recipient, err := recipientOf(identities)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, ids: identities, recipient: recipient, reads: newLane(dir, patience), writes: newLane(dir, patience)}
	err = s.writes.run(context.Background(), func() error { _, err := s.current(); return err })
	if err != nil {
		_ = s.Close() // the folder may still be opened after the deadline
		return nil, err
	}
	return s, nil
}

func recipientOf(identities []age.Identity) (age.Recipient, error) {
	if len(identities) == 0 {
		return nil, errors.New("file store: no key; run: kyc-agentd keygen")
	}
	switch id := identities[0].(type) {
	case *age.HybridIdentity:
		return id.Recipient(), nil
	case *age.X25519Identity:
		return id.Recipient(), nil
	}
	return nil, errors.New("file store: the key is of a kind that cannot encrypt; make another: kyc-agentd keygen")
}

// current returns the folder at s.dir. It opens it anew if it is another one than before,
// and then unlocks the old one.
func (s *Store) current() (*folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return nil, explain(os.ErrClosed, "use the folder", s.dir)
	}
	if s.folder != nil && s.folder.isAt(s.dir) {
		return s.folder, nil
	}
	f, err := openFolder(s.dir)
	if err != nil {
		return nil, err
	}
	if s.closed.Load() {
		_ = f.close()
		return nil, explain(os.ErrClosed, "use the folder", s.dir)
	}
	if s.folder != nil {
		s.seen.replaced.Store(true)
		// A reader may still use the old root, which is closed when it is collected.
		_ = unlockFolder(s.folder.lock)
	}
	s.folder = f
	return f, nil
}

// Close unlocks the folder, so that another process can open it. The store cannot be
// used afterwards. If a write hangs, Close fails and the folder stays locked until the
// process ends, because the write may still be completed.
func (s *Store) Close() error {
	s.closed.Store(true)
	return s.writes.run(context.Background(), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.folder == nil {
			return nil
		}
		f := s.folder
		s.folder = nil
		return f.close()
	})
}

// HandOver keeps the lock of the folder for the next image of this process, whose Open finds it.
// Close then leaves the folder locked.
func (s *Store) HandOver() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folder == nil || s.folder.lock == nil {
		return nil
	}
	return handover.Put(handedLock(s.dir), s.folder.lock)
}

func handedLock(dir string) string { return "folder " + dir }

// Get returns the value of key. An error other than ErrNotFound says what is wrong
// with the file and what to do about it.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := validate.Args(ctx, "file store", key); err != nil {
		return nil, err
	}
	var value []byte
	err := s.reads.run(ctx, func() error {
		f, err := s.current()
		if err == nil {
			value, err = s.read(f, key, s.ids...)
		}
		return err
	})
	switch path := s.path(key); {
	case err == nil:
		s.seen.add(key)
		return value, nil
	case isExplained(err):
		return nil, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("file store: %s: %w", key, store.ErrNotFound)
	case errors.Is(err, ErrWrongKey):
		return nil, fmt.Errorf("%s is %w; give the daemon the right store_key_file, or sign in again: kyc-agentd login %s", path, ErrWrongKey, key)
	case errors.Is(err, ErrDamaged):
		return nil, fmt.Errorf("%s is %w (no age file, cut short or altered); sign in again: kyc-agentd login %s", path, ErrDamaged, key)
	default:
		return nil, explain(err, "read", path)
	}
}

// read decrypts the file of key with one of ids. It returns ErrWrongKey and ErrDamaged
// without age's own messages, which quote the first bytes of the file.
func (s *Store) read(f *folder, key string, ids ...age.Identity) ([]byte, error) {
	sealed, err := readPrivate(f.root, key+suffix, s.path(key))
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), ids...)
	if err == nil {
		var value []byte
		if value, err = io.ReadAll(r); err == nil {
			return value, nil
		}
	}
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, ErrWrongKey
	}
	return nil, ErrDamaged
}

// Put makes value durable under key. A value that has not changed is not written again.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := validate.Args(ctx, "file store", key); err != nil {
		return err
	}
	if len(value) > maxValue {
		return fmt.Errorf("file store: a value of %d bytes is above the limit of %d", len(value), maxValue)
	}
	value = bytes.Clone(value) // the write may go on when the caller has given up
	err := s.writes.run(ctx, func() error { return s.put(key, value) })
	if err != nil {
		return explain(err, "write", s.path(key))
	}
	s.seen.add(key)
	return nil
}

func (s *Store) put(key string, value []byte) error {
	f, err := s.current()
	if err != nil {
		return err
	}
	if s.unchanged(f, key, value) {
		return f.syncIfNeeded()
	}
	sealed, err := s.seal(value)
	if err != nil {
		return err
	}
	return f.replace(key+suffix, sealed)
}

// unchanged reports whether the file of key holds value, encrypted to the current key.
// It is false for a file that cannot be read, so that Put replaces it.
func (s *Store) unchanged(f *folder, key string, value []byte) bool {
	current, err := s.read(f, key, s.ids[0])
	return err == nil && bytes.Equal(current, value)
}

func (s *Store) seal(value []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, s.recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(value); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

// Delete removes key and makes that durable.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := validate.Args(ctx, "file store", key); err != nil {
		return err
	}
	s.seen.remove(key)
	err := s.writes.run(ctx, func() error {
		f, err := s.current()
		if err != nil {
			return err
		}
		return f.remove(key + suffix)
	})
	if err != nil {
		return explain(err, "remove", s.path(key))
	}
	return nil
}

// Keys lists the keys in ascending order. It opens none of the files and needs no
// identity.
func (s *Store) Keys(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("file store: %w", err)
	}
	var names []string
	err := s.reads.run(ctx, func() error {
		f, err := s.current()
		if err == nil {
			names, err = f.names()
		}
		return err
	})
	if err != nil {
		return nil, explain(err, "list", s.dir)
	}
	var keys []string
	for _, name := range names {
		if key, ok := strings.CutSuffix(name, suffix); ok && store.ValidKey(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Intact looks whether the folder is still the one that was opened, and has the files of all
// keys that were read or put. It opens none of the files.
func (s *Store) Intact(ctx context.Context) (bool, error) {
	seen := s.seen.list()
	keys, err := s.Keys(ctx)
	if err != nil {
		return false, err
	}
	return s.seen.intact(seen, keys), nil
}

// Describe describes the store; its Detail is the folder.
func (s *Store) Describe() store.Info {
	return store.Info{Kind: "file", Detail: s.dir, Lasting: true, Key: s.KeyFile}
}

func (s *Store) path(key string) string { return filepath.Join(s.dir, key+suffix) }
