package lock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

// FileName is the file's name in the folder. No key of a store ends like that.
const FileName = "lock.json"

const (
	fileVersion = 1
	tempPrefix  = ".lock-"
	maxFile     = 64 << 10
)

// A content is what the file has. It contains no secret but the sealed identity.
type content struct {
	Version int `json:"v"`
	// Recipient is the public half of the identity, and Identity the identity itself,
	// encrypted with the passphrase.
	Recipient string `json:"recipient,omitempty"`
	Identity  []byte `json:"identity,omitempty"`

	Locked bool      `json:"locked,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"` // before that no passphrase unlocks
	Why    string    `json:"why,omitempty"`

	Wrong     int       `json:"wrong,omitempty"` // tries since the last right one
	WrongLast time.Time `json:"wrong_last,omitzero"`
}

// A State describes the lock.
type State struct {
	Passphrase bool // there is one
	Locked     bool
	Since      time.Time
	Until      time.Time
	Why        string
}

// A Folder keeps the lock in a folder. It is safe for concurrent use.
type Folder struct {
	path string

	mu      sync.Mutex
	content content
	err     error // why the file cannot be used
}

// New reads the file in the folder path. A file that cannot be read counts as locked: only a
// person knows what it was.
func New(path string) *Folder {
	f := &Folder{path: path}
	if path != "" {
		f.content, f.err = read(filepath.Join(path, FileName))
	}
	return f
}

func read(file string) (c content, err error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return content{Version: fileVersion}, nil
	}
	if err == nil && (len(data) > maxFile || json.Unmarshal(data, &c) != nil || c.Version < 1) {
		err = fmt.Errorf("%s is damaged", file)
	}
	if err == nil && c.Version > fileVersion {
		err = fmt.Errorf("%s was written by a newer kyc-agentd", file)
	}
	if err == nil && c.Recipient != "" {
		if _, bad := age.ParseX25519Recipient(c.Recipient); bad != nil || len(c.Identity) == 0 {
			err = fmt.Errorf("%s is damaged", file)
		}
	}
	if err != nil {
		return content{Version: fileVersion, Locked: true}, err
	}
	return c, nil
}

// Err returns why the file cannot be used, or nil.
func (f *Folder) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// State returns whether there is a passphrase, and whether the agent is locked.
func (f *Folder) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.content
	return State{c.Recipient != "", c.Locked, c.Since, c.Until, c.Why}
}

// Recipient returns the public half of the passphrase's identity, or nil if there is no
// passphrase.
func (f *Folder) Recipient() *age.X25519Recipient {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := age.ParseX25519Recipient(f.content.Recipient)
	if err != nil {
		return nil
	}
	return r
}

// Sealed returns the identity, encrypted with the passphrase.
func (f *Folder) Sealed() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.content.Identity
}

// SetPassphrase makes the identity of recipient the one of the passphrase that sealed it.
func (f *Folder) SetPassphrase(recipient string, sealed []byte) error {
	return f.change(func(c *content) { c.Recipient, c.Identity, c.Wrong = recipient, sealed, 0 })
}

// Lock locks until somebody unlocks, and not before until, if that is not zero. A second lock
// can only make it later.
func (f *Folder) Lock(why string, now, until time.Time) error {
	return f.change(func(c *content) {
		if !c.Locked {
			c.Locked, c.Since, c.Until, c.Why = true, now.UTC(), time.Time{}, why
		}
		if until.After(c.Until) {
			c.Until = until.UTC()
		}
	})
}

// Unlock ends the lock.
func (f *Folder) Unlock() error {
	return f.change(func(c *content) { c.Locked, c.Since, c.Until, c.Why, c.Wrong = false, time.Time{}, time.Time{}, "", 0 })
}

// Forget removes the passphrase and the lock. What is wrapped stays so.
func (f *Folder) Forget() error {
	return f.change(func(c *content) { *c = content{Version: fileVersion} })
}

// change changes the content on the disk, and then in memory. The tries are kept in memory even
// if the disk takes nothing.
func (f *Folder) change(edit func(*content)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" {
		return errors.New("there is no folder for it; set HOME or XDG_STATE_HOME")
	}
	next := f.content
	edit(&next)
	if err := f.write(next); err != nil {
		return err
	}
	f.content, f.err = next, nil
	return nil
}

func (f *Folder) write(c content) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(f.path, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return err
	}
	defer root.Close()
	removeTemps(root)
	if err := durable.Replace(root, FileName, tempPrefix, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return durable.SyncDir(root)
}

// removeTemps removes what a process left that was killed during a write.
func removeTemps(root *os.Root) {
	entries, _ := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			_ = root.Remove(e.Name())
		}
	}
}
