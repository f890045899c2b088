package config

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/strictmodes"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/tomledit"
	"github.com/legaltalent/kyc-agent/internal/durable"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// A Change sets one key of config.toml.
type Change struct{ Key, Value string }

// Done says what a Set did.
type Done struct {
	Path     string
	Changed  bool
	Restart  bool // a change needs a restart of the daemon; a reload is enough for the others
	Warnings []string
}

// Set changes config.toml and keeps its comments and its layout. It refuses what [Check] would
// refuse, and then the file is as it was.
//
// The file is replaced by a complete new one (see [durable.Replace]) with the same mode; if its
// name is a symbolic link, the target is replaced. Two calls at once wait for one another.
func Set(ctx context.Context, file string, vars Environ, changes []Change) (done Done, err error) {
	path, err := FilePath(file, vars)
	if err != nil {
		return done, err
	}
	done.Path = path
	keys := make([]knownKey, len(changes))
	for i, change := range changes {
		if keys[i], err = findKey(change.Key); err != nil {
			return done, err
		}
		if !utf8.ValidString(change.Value) {
			return done, Errorf("the value of %s is not UTF-8", change.Key)
		}
		done.Restart = done.Restart || keys[i].restart
		if variable := keys[i].variable(); vars.Get(variable) != "" {
			done.Warnings = append(done.Warnings, variable+" is set in this shell and overrides the file")
		}
	}
	apply := func(data []byte) ([]byte, []string, error) { return applyChanges(path, data, keys, changes, vars) }
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if _, _, err := apply(nil); err != nil { // before a folder is made
			return done, err
		}
	}
	e, err := openEdited(ctx, path)
	if err != nil {
		return done, err
	}
	defer e.close()
	old, err := e.read()
	if err != nil {
		return done, err
	}
	edited, warnings, err := apply(old)
	done.Warnings = append(done.Warnings, warnings...)
	if err != nil || bytes.Equal(edited, old) {
		return done, err
	}
	done.Changed = true
	return done, e.replace(edited)
}

// applyChanges returns data with changes, if a daemon would accept that.
func applyChanges(path string, data []byte, keys []knownKey, changes []Change, vars Environ) (edited []byte, warnings []string, err error) {
	edited = data
	for i, change := range changes {
		if edited, err = setKey(edited, keys[i], change.Value, path); err != nil {
			return nil, nil, err
		}
	}
	c, _, err := load(path, edited, vars)
	if err == nil {
		err = c.checkFiles(path, vars)
	}
	if err != nil {
		return nil, nil, Errorf("nothing is changed, because this would be wrong: %v", err)
	}
	return edited, c.needsCredential(vars), nil
}

func setKey(data []byte, key knownKey, value, path string) ([]byte, error) {
	text := tomledit.String(value)
	if key.list {
		items := []string{}
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		text = tomledit.List(items)
	}
	edited, err := tomledit.Set(data, key.path, text)
	if err != nil {
		if _, err := parseConfig(path, data); err != nil {
			return nil, err // with the line
		}
		return nil, Errorf("%s: %v; write it into the file yourself", path, err)
	}
	return edited, nil
}

// edited is a config.toml that is being changed, under a lock on its folder.
type edited struct {
	path string // as a person knows it
	name string // in root
	root *os.Root
	lock *os.File
	perm fs.FileMode
}

// Modes of what Set makes.
const (
	newFileMode   = 0o600
	newFolderMode = 0o700
)

// openEdited locks the folder of the file that path names. It makes a folder that is missing.
func openEdited(ctx context.Context, path string) (*edited, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, dangling := os.Lstat(path); dangling == nil {
			return nil, Errorf("%s is a symbolic link to nothing; make the file that it names, or remove the link", path)
		}
		if err = durable.MkdirAll(filepath.Dir(path), newFolderMode); err == nil {
			target = path
		}
	}
	if err != nil {
		return nil, Errorf("cannot write %s: %s", path, PlainCause(err))
	}
	e := &edited{path: path, name: filepath.Base(target), perm: newFileMode}
	if e.root, err = os.OpenRoot(filepath.Dir(target)); err == nil {
		if e.lock, err = e.root.Open("."); err != nil {
			_ = e.root.Close()
		}
	}
	if err != nil {
		return nil, Errorf("cannot write %s: %s", path, PlainCause(err))
	}
	if err := e.wait(ctx); err != nil {
		e.close()
		return nil, err
	}
	e.removeLeftovers()
	return e, nil
}

func (e *edited) close() {
	_ = e.lock.Close()
	_ = e.root.Close()
}

// How long, and how often, Set tries to get the lock, which others hold for milliseconds.
const (
	lockTimeout = 10 * time.Second
	lockPoll    = 20 * time.Millisecond
)

// wait waits for the lock. The folder itself is locked, because the file is replaced and a
// lock file would stay. The kernel releases the lock of a process that dies.
func (e *edited) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		err := syscall.Flock(int(e.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil, errors.Is(err, syscall.EBADF), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK):
			return nil // NFS locks no folder
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return Errorf("cannot lock the folder of %s: %v", e.path, err)
		}
		select {
		case <-ctx.Done():
			return Errorf("another program has locked the folder of %s; try again", e.path)
		case <-time.After(lockPoll):
		}
	}
}

// newPrefix begins the name of the new file until it is complete.
const newPrefix = ".config.toml.new-"

// removeLeftovers removes what a crash has left. Nobody else has the lock.
func (e *edited) removeLeftovers() {
	entries, _ := fs.ReadDir(e.root.FS(), ".")
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), newPrefix) && entry.Type().IsRegular() {
			_ = e.root.Remove(entry.Name())
		}
	}
}

// read returns what the file has, or nothing if there is no file. The daemon's rule holds for
// who else may write it.
func (e *edited) read() ([]byte, error) {
	info, err := e.root.Lstat(e.name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := strictmodes.Check(e.root.Name()); err != nil {
			return nil, Errorf("%v", err)
		}
		return nil, nil
	}
	if err != nil {
		return nil, Errorf("cannot read %s: %s", e.path, PlainCause(err))
	}
	data, err := readTrusted(e.path)
	switch {
	case isPathError(err):
		return nil, Errorf("cannot read %s: %s", e.path, PlainCause(err))
	case err != nil:
		return nil, Errorf("%v", err)
	}
	if e.perm = info.Mode().Perm(); e.perm&0o200 == 0 { // a rename would replace it all the same, and root may write anything
		return nil, Errorf("%s is read-only (mode %04o); run: chmod u+w %s", e.path, e.perm, shellquote.Quote(e.path))
	}
	if f, err := e.root.OpenFile(e.name, os.O_WRONLY, 0); err != nil {
		return nil, Errorf("cannot write %s: %s", e.path, PlainCause(err))
	} else if err := f.Close(); err != nil {
		return nil, Errorf("cannot write %s: %s", e.path, PlainCause(err))
	}
	if info.Sys().(*syscall.Stat_t).Nlink > 1 {
		return nil, Errorf("%s has a second name (a hard link), which would keep the old text; edit the file yourself", e.path)
	}
	return data, nil
}

// replace puts a complete new file in the place of the old one.
func (e *edited) replace(data []byte) error {
	err := durable.Replace(e.root, e.name, newPrefix, data, e.perm)
	if err == nil {
		err = durable.SyncDir(e.root)
	}
	if err != nil {
		cause := PlainCause(err)
		if link, ok := errors.AsType[*os.LinkError](err); ok {
			cause = link.Err.Error()
		}
		return Errorf("cannot write %s: %s; it is as it was", e.path, cause)
	}
	return nil
}
