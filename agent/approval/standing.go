package approval

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/bootclock"
	"github.com/legaltalent/kyc-agent/internal/durable"
)

// fileName is the file of the standing grants, in the state folder.
const (
	fileName   = "approvals.json"
	tempPrefix = ".approvals-"
	maxFile    = 1 << 20
)

// A file is what is in it.
type file struct {
	Version int            `json:"v"`
	Seen    bootclock.Seen `json:"seen,omitzero"` // when it was written: the ends of the grants are by the same clock
	Grants  []*Grant       `json:"grants"`
}

// A standing is what of a file holds now.
type standing struct {
	grants []*Grant
	seen   bootclock.Seen
}

// readGrants reads the standing grants that have not ended. A file that others can change, or
// that a newer version wrote, has none.
func readGrants(dir string) (standing, error) {
	none := standing{seen: bootclock.Seen{Mark: bootclock.Now()}}
	if dir == "" {
		return none, nil
	}
	path := filepath.Join(dir, fileName)
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return none, err
	case !info.Mode().IsRegular():
		return none, fmt.Errorf("%s is no file; remove it", path)
	case info.Mode().Perm()&0o077 != 0 || !isOwn(info):
		return none, fmt.Errorf("%s could have been changed by others; if it is yours: chmod 600 %s", path, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return none, err
	}
	var in file
	if err := json.Unmarshal(data, &in); err != nil || len(data) > maxFile {
		return none, fmt.Errorf("%s is damaged; remove it, and approve the units again", path)
	}
	if in.Version != 1 {
		return none, fmt.Errorf("%s is of another version of kyc-agentd (format %d)", path, in.Version)
	}
	return in.usable(path)
}

// usable returns the grants that hold.
func (f file) usable(path string) (standing, error) {
	now := bootclock.Now()
	out := standing{seen: f.Seen}
	if f.Seen.Wall.IsZero() { // an older version wrote it
		out.seen.Mark = now
	}
	written := out.seen.Wall
	elapsed := out.seen.Advance(now)
	for _, g := range f.Grants {
		if g == nil || g.Subject.Kind != SubjectUnit || checkUnit(g.Subject.Unit.Name) != nil {
			return standing{seen: out.seen}, fmt.Errorf("%s is damaged; remove it, and approve the units again", path)
		}
		if g.Kind == KindAPI {
			if err := g.setAPI(g.Methods, g.Paths); err != nil {
				return standing{seen: out.seen}, fmt.Errorf("%s: %w", path, err)
			}
		}
		g.Standing, g.saved = true, true
		g.Uses, g.UsedAt = 0, time.Time{} // they may have been written or not
		g.left = g.EndsAt.Sub(written) - elapsed
		g.EndsAt = now.Wall.Add(g.left)
		if !g.over() {
			out.grants = append(out.grants, g)
		}
	}
	return out, nil
}

// save writes the standing grants of all to the disk, and returns all as it is after that. What
// another agent of this folder has changed there meanwhile stays so: what it took back does not
// come back, and what it granted is not lost.
func (a *Approvals) save(all []*Grant) ([]*Grant, error) {
	if a.opts.Dir == "" {
		return nil, &agent.Error{Code: agent.CodeConfiguration, Op: "approve", Message: "this agent keeps no standing approvals: it has no state folder"}
	}
	var locked *os.File
	var there standing
	var before []byte
	var damaged error
	err := durable.Within(func() (err error) {
		if locked, err = lockState(a.opts.Dir); err == nil {
			before, _ = os.ReadFile(filepath.Join(a.opts.Dir, fileName))
			there, damaged = readGrants(a.opts.Dir)
		}
		return err
	}, func() { _ = locked.Close() })
	if err != nil {
		return nil, unsavedError(err)
	}
	a.damaged = damaged // what cannot be read is not overwritten, until somebody removes it
	a.count()
	all = a.merge(all, there.grants)
	out := file{Version: 1, Seen: a.seen, Grants: []*Grant{}}
	for _, g := range all {
		if g.Standing {
			out.Grants = append(out.Grants, g)
		}
	}
	data, _ := json.Marshal(out) // never fails
	err = durable.Within(func() error {
		if damaged != nil {
			return damaged
		}
		return a.write(a.opts.Dir, append(data, '\n'))
	}, func() { a.putBack(before) })
	_ = locked.Close()
	if err != nil {
		return nil, unsavedError(err)
	}
	a.savedAt = a.seen.Mark
	for _, g := range out.Grants {
		g.saved = true
	}
	return all, nil
}

// putBack makes the file what it was; nil is none.
func (a *Approvals) putBack(before []byte) {
	if before == nil {
		_ = os.Remove(filepath.Join(a.opts.Dir, fileName))
		return
	}
	_ = a.write(a.opts.Dir, before)
}

func unsavedError(err error) error {
	return &agent.Error{Code: agent.CodeUnavailable, Op: "approve", Message: "the standing approvals cannot be saved: " + err.Error(), Err: err}
}

// lockState keeps other agents of this folder from changing its files.
func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return durable.Lock(root, durable.StateLock, durable.LockWithin)
}

// merge returns all without what is no longer on the disk, and with what else is there.
func (a *Approvals) merge(all, there []*Grant) []*Grant {
	has := func(list []*Grant, id string) bool {
		return slices.ContainsFunc(list, func(g *Grant) bool { return g.ID == id })
	}
	merged := slices.DeleteFunc(slices.Clone(all), func(g *Grant) bool { return g.saved && !has(there, g.ID) })
	for _, g := range there {
		if !has(all, g.ID) && !a.revoked[g.ID] {
			merged = append(merged, g)
		}
	}
	return merged
}

func writeFile(dir string, data []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := durable.Replace(root, fileName, tempPrefix, data, 0o600); err != nil {
		return err
	}
	return durable.SyncDir(root)
}
