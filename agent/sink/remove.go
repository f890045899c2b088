package sink

// How a token goes: its file is removed, and emptied under every name that it has got.

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// maxReplaced is how many replaced files are kept open, so that sign-ins in a row do not use up
// the descriptors.
const maxReplaced = 8

// keep keeps a file that was replaced: a hard link or a mount may still lead to its token, and
// programs that opened it just now are still reading. It is emptied when its token expires or
// has to go.
func (f *file) keep(w *writtenFile) {
	if w == nil {
		return
	}
	_ = w.unlink(f.sink.name()) // its folder was moved away, and another was made
	if w.root != nil {
		_ = w.root.Close()
		w.root = nil
	}
	f.replaced = append(f.replaced, w)
	if len(f.replaced) > maxReplaced {
		_ = f.replaced[0].erase()
		f.replaced[0].close()
		f.replaced = f.replaced[1:]
	}
}

// expiredOnly is an argument of eraseReplaced.
const expiredOnly = true

// eraseReplaced empties replaced files and returns a line for each that still holds a token.
func (f *file) eraseReplaced(onlyExpired bool) (left []string) {
	var stay []*writtenFile
	for _, w := range f.replaced {
		if onlyExpired && (w.end.IsZero() || time.Now().Before(w.end)) {
			stay = append(stay, w)
			continue
		}
		if err := w.erase(); err != nil && w.links() > 0 {
			left = append(left, f.leftElsewhere(w, err))
			stay = append(stay, w)
			continue
		}
		w.close()
	}
	f.replaced = stay
	return left
}

// leftElsewhere is the line about a file that still holds a token and is not at the path.
func (f *file) leftElsewhere(w *writtenFile, err error) string {
	if name := nameOf(w.file); name != "" {
		verb := stillHolds
		if errors.Is(err, errChanged) {
			verb = mayHold
		}
		return leftLine(name, verb, w.links(), err)
	}
	return fmt.Sprintf("%s was removed, but another name of that file still holds a token: %v; remove it", inMessage(f.sink.Path), plainCause(err))
}

// remove removes the file, also one that a killed agent left, and empties what cannot be
// removed. Anything else at the path stays. What still holds a token afterwards is in the
// status.
func (f *file) remove() error {
	var left []string
	f.inUse = false
	gone := cmp.Or(f.removeCurrent(&left), f.removeFound(&left))
	f.failed = gone != nil
	left = append(left, f.eraseReplaced(!expiredOnly)...)
	slices.Sort(left)
	f.mu.Lock()
	f.reported.Left = slices.Compact(left)
	if f.current == nil {
		f.reported.WrittenAt, f.reported.ExpiresAt = time.Time{}, time.Time{}
	}
	f.mu.Unlock()
	if gone != nil {
		return f.sink.explain("remove", gone)
	}
	if f.clean() && !f.inUse {
		f.notes.drop(f.sink.Path)
	}
	return nil
}

// held reports whether files are open that hold a token.
func (f *file) held() bool { return f.current != nil || len(f.replaced) > 0 }

// clean reports whether the last remove left nothing.
func (f *file) clean() bool {
	return !f.failed && !f.held() && len(f.status().Left) == 0
}

// removeCurrent removes the file that this process wrote, wherever its folder is by now.
func (f *file) removeCurrent(left *[]string) error {
	w := f.current
	if w == nil {
		return nil
	}
	if err := w.unlink(f.sink.name()); err != nil && !isGone(err) {
		if emptied := w.erase(); emptied != nil {
			*left = append(*left, f.leftElsewhere(w, emptied))
		}
		return err
	}
	f.token, f.current = agent.Token{}, nil
	f.keep(w)
	return nil
}

// removeFound removes the agent's file at the path if another process wrote it. The folder
// need not be as one to write to: only a file with the agent's own content goes.
func (f *file) removeFound(left *[]string) error {
	_, noted := f.notes.get(f.sink.Path)
	root, err := os.OpenRoot(filepath.Dir(f.sink.Path))
	if err != nil {
		if noted && !isGone(err) {
			*left = append(*left, leftLine(f.sink.Path, mayHold, 1, err))
		}
		return nil
	}
	defer root.Close()
	info, err := root.Lstat(f.sink.name())
	if err != nil || !info.Mode().IsRegular() || f.current.sameAs(info) {
		return nil
	}
	found, suspect, err := f.find(root, info)
	if err != nil {
		f.inUse = err == errInUse
		if _, foreign := err.(refusal); suspect && !(foreign && f.leftOver) {
			*left = append(*left, leftLine(f.sink.Path, mayHold, 1, err))
		}
		return nil
	}
	if err := root.Remove(f.sink.name()); err != nil && !isGone(err) {
		if emptied := found.erase(); emptied != nil {
			*left = append(*left, leftLine(f.sink.Path, stillHolds, found.links(), emptied))
		}
		found.close()
		return err
	}
	f.keep(found)
	return nil
}

// removeLeftOver removes a file that is not configured any more, and returns when to try again.
func (f *file) removeLeftOver() time.Duration {
	err := f.remove()
	if f.report(err) && err != nil {
		f.log.Warn("cannot remove a token file that is not configured any more; will retry", "error", err)
	}
	f.logLeft()
	return f.backoff()
}

// logLeft logs what still holds a token, once, and reports whether there is any.
func (f *file) logLeft() bool {
	left := f.status().Left
	for _, line := range left {
		if !slices.Contains(f.logged, line) {
			f.log.Warn("a token is left", "error", line)
		}
	}
	f.logged = left
	return len(left) > 0
}
