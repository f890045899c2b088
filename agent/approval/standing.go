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
	Version int      `json:"v"`
	Grants  []*Grant `json:"grants"`
}

// readGrants reads the standing grants that have not ended. A file that others can change, or
// that a newer version wrote, has none.
func readGrants(dir string) ([]*Grant, error) {
	if dir == "" {
		return nil, nil
	}
	path := filepath.Join(dir, fileName)
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file; remove it", path)
	case info.Mode().Perm()&0o077 != 0 || !isOwn(info):
		return nil, fmt.Errorf("%s could have been changed by others; if it is yours: chmod 600 %s", path, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	var in file
	if err := json.Unmarshal(data, &in); err != nil || len(data) > maxFile {
		return nil, fmt.Errorf("%s is damaged; remove it, and approve the units again", path)
	}
	if in.Version != 1 {
		return nil, fmt.Errorf("%s is of another version of kyc-agentd (format %d)", path, in.Version)
	}
	return usable(in.Grants, path)
}

// usable returns the grants that hold.
func usable(all []*Grant, path string) (grants []*Grant, err error) {
	for _, g := range all {
		if g == nil || g.Subject.Kind != SubjectUnit || checkUnit(g.Subject.Unit.Name) != nil {
			return nil, fmt.Errorf("%s is damaged; remove it, and approve the units again", path)
		}
		if g.Kind == KindAPI {
			if err := g.setAPI(g.Methods, g.Paths); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		g.Standing, g.saved = true, true
		if !g.over(time.Now()) {
			grants = append(grants, g)
		}
	}
	return grants, nil
}

// save writes the standing grants of all to the disk, and returns all as it is after that. What
// another agent of this folder has changed there meanwhile stays so: what it took back does not
// come back, and what it granted is not lost.
func (a *Approvals) save(all []*Grant) ([]*Grant, error) {
	if a.opts.Dir == "" {
		return nil, &agent.Error{Code: agent.CodeConfiguration, Op: "approve", Message: "this agent keeps no standing approvals: it has no state folder"}
	}
	var there []*Grant
	there, a.damaged = readGrants(a.opts.Dir) // what cannot be read is not overwritten, until somebody removes it
	all = a.merge(all, there)
	out := file{Version: 1, Grants: []*Grant{}}
	for _, g := range all {
		if g.Standing {
			out.Grants = append(out.Grants, g)
		}
	}
	err := a.damaged
	if err == nil {
		err = writeFile(a.opts.Dir, out)
	}
	if err != nil {
		return nil, &agent.Error{Code: agent.CodeUnavailable, Op: "approve", Message: "the standing approvals cannot be saved: " + err.Error(), Err: err}
	}
	for _, g := range out.Grants {
		g.saved = true
	}
	return all, nil
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

func writeFile(dir string, out file) error {
	data, err := json.Marshal(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := durable.Replace(root, fileName, tempPrefix, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return durable.SyncDir(root)
}
