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

	"github.com/legaltalent/kyc-agent/internal/bootclock"
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

	// Seen is when Until was counted last: what is left until then does not change with the clock.
	Seen bootclock.Seen `json:"seen,omitzero"`

	Wrong   int            `json:"wrong,omitempty"` // tries since the last right one
	WrongAt bootclock.Mark `json:"wrong_at,omitzero"`
}

// count moves Until with the clock, if that was set.
func (c *content) count(now bootclock.Mark) {
	if c.Until.IsZero() {
		return
	}
	left := c.Until.Sub(now.Wall)
	if !c.Seen.Wall.IsZero() {
		left = c.Until.Sub(c.Seen.Wall)
	}
	left -= c.Seen.Advance(now)
	c.Until = now.Wall.Add(left)
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
	Now   func() bootclock.Mark                // New sets it
	write func(root *os.Root, c content) error // the same
	path  string
	turn  chan struct{} // has room for the one who changes the file

	mu      sync.Mutex
	content content
	err     error // why the file cannot be used
}

// New reads the file in the folder path. A file that cannot be read counts as locked: only a
// person knows what it was.
func New(path string) *Folder {
	f := &Folder{Now: bootclock.Now, write: write, path: path, turn: make(chan struct{}, 1)}
	if path != "" {
		f.content, f.err = read(filepath.Join(path, FileName))
	}
	return f
}

func read(file string) (c content, err error) {
	data, err := durable.ReadRegular(file, maxFile+1)
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
	f.content.count(f.Now())
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

// ErrOtherPassphrase means that another agent of this folder has set a passphrase meanwhile.
var ErrOtherPassphrase = errors.New("another agent has set a passphrase for this folder; try again with it")

// SetPassphrase makes the identity of recipient the one of the passphrase that sealed it. Another
// identity that is there stays, because sign-ins may be wrapped to it.
func (f *Folder) SetPassphrase(recipient string, sealed []byte) error {
	return f.change(func(c *content) error {
		if c.Recipient != "" && c.Recipient != recipient {
			return ErrOtherPassphrase
		}
		c.Recipient, c.Identity, c.Wrong = recipient, sealed, 0
		return nil
	})
}

// Lock locks until somebody unlocks, and not before least is over, if that is not zero. A second
// lock can only make it later.
func (f *Folder) Lock(why string, least time.Duration) error {
	now := f.Now()
	return f.change(func(c *content) error {
		if !c.Locked {
			c.Locked, c.Since, c.Until, c.Why = true, now.Wall, time.Time{}, why
		}
		c.count(now)
		if until := now.Wall.Add(least); least > 0 && until.After(c.Until) {
			c.Until, c.Seen = until, bootclock.Seen{Mark: now}
		}
		return nil
	})
}

// Unlock ends the lock.
func (f *Folder) Unlock() error {
	return f.change(func(c *content) error {
		c.Locked, c.Since, c.Until, c.Seen, c.Why, c.Wrong = false, time.Time{}, time.Time{}, bootclock.Seen{}, "", 0
		return nil
	})
}

// Forget removes the passphrase and the lock. What is wrapped stays so.
func (f *Folder) Forget() error {
	return f.change(func(c *content) error { *c = content{Version: fileVersion}; return nil })
}

// change changes the content on the disk, and then in memory. Nobody else waits for the disk
// meanwhile, and this caller no longer than durable.DiskWithin: what it then was told not to have
// changed is put back as soon as the disk answers.
func (f *Folder) change(edit func(*content) error) error {
	if f.path == "" {
		return errors.New("there is no folder for it; set HOME or XDG_STATE_HOME")
	}
	timer := time.NewTimer(durable.DiskWithin)
	defer timer.Stop()
	select {
	case f.turn <- struct{}{}:
	case <-timer.C:
		return durable.ErrDisk
	}
	return durable.Until(timer.C, func(late func() bool) error {
		defer func() { <-f.turn }()
		return f.changeNow(edit, late)
	})
}

// changeNow is change for the one whose turn it is. Another agent of this folder may
// have changed the file: what it wrote stays. Whether this agent is locked is for this agent to
// say, because only its own lock has taken the sign-ins out of its memory.
func (f *Folder) changeNow(edit func(*content) error, late func() bool) error {
	if err := durable.MkdirAll(f.path, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return err
	}
	defer root.Close()
	// A process that keeps the lock must not keep this agent from locking.
	if locked, err := durable.Lock(root, durable.StateLock, durable.LockWithin); err == nil {
		defer locked.Close()
	}
	own := f.inMemory()
	next, err := read(filepath.Join(f.path, FileName))
	if err != nil {
		next = own
	}
	before := next
	own.Recipient, own.Identity, own.Wrong, own.WrongAt = next.Recipient, next.Identity, next.Wrong, next.WrongAt
	if err := edit(&next); err != nil {
		f.remember(own)
		return err
	}
	if err := f.write(root, next); err != nil {
		return err
	}
	if late() {
		_ = f.write(root, before)
		return durable.ErrDisk
	}
	_ = edit(&own)
	f.remember(own)
	return nil
}

func (f *Folder) inMemory() content {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.content
}

// remember makes c, which is on the disk, the content in memory.
func (f *Folder) remember(c content) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content, f.err = c, nil
}

func write(root *os.Root, c content) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
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
