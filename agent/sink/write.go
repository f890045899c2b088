package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/legaltalent/kyc-agent/internal/durable"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// write replaces the file at the path by one with data, if what is there is the agent's.
func (f *file) write(data []byte) (*writtenFile, error) {
	root, made, err := f.sink.openFolder()
	f.made = f.made || made || f.notes.madeFolder(filepath.Dir(f.sink.Path))
	if err != nil {
		return nil, f.sink.explain("write", err)
	}
	found, err := f.checkReplaceable(root)
	if err == nil {
		f.notes.add(f.sink, data, f.made) // first: a kill may come at any time
		var written *os.File
		if written, err = durable.ReplaceOpen(root, f.sink.name(), f.sink.tempPrefix(), data, f.sink.Mode); err == nil {
			f.keep(found)
			return f.newWritten(root, written, data)
		}
	}
	if found != nil {
		found.close()
	}
	_ = root.Close()
	return nil, f.sink.explain("write", err)
}

func (f *file) newWritten(root *os.Root, written *os.File, data []byte) (*writtenFile, error) {
	w := &writtenFile{file: written, root: root, size: int64(len(data)), sum: sumOf(data)}
	var err error
	if w.info, err = written.Stat(); err == nil {
		err = w.lock()
	}
	if err != nil {
		w.close()
		return nil, f.sink.explain("write", err)
	}
	return w, nil
}

// checkReplaceable returns an error if the path holds something that is not this agent's. If
// it holds a file that an agent left, found is that file.
func (f *file) checkReplaceable(root *os.Root) (found *writtenFile, err error) {
	info, err := root.Lstat(f.sink.name())
	switch {
	case err != nil:
		return nil, nil // there is no file, or ReplaceOpen will return the error
	case info.Mode().Type() == fs.ModeSymlink && f.current != nil:
		return nil, nil // it took the place of the written file, and is replaced itself
	case info.Mode().Type() == fs.ModeSymlink:
		target, _ := root.Readlink(f.sink.name())
		return nil, errForeign(" (a symbolic link to " + inMessage(target) + ")")
	case f.current.sameAs(info):
		return nil, nil
	case !info.Mode().IsRegular():
		return nil, errForeign(" (mode " + info.Mode().String() + ")")
	}
	found, _, err = f.find(root, info)
	return found, err
}

func errForeign(which string) refusal {
	return refusal("what exists there is not one of the agent's token files" + which + "; remove it, or name another path")
}

// find opens the regular file at the path, which this process has not written, and locks it.
// It returns an error unless it is the agent's; suspect then says that a token may be in it.
func (f *file) find(root *os.Root, info fs.FileInfo) (found *writtenFile, suspect bool, err error) {
	w := &writtenFile{info: info}
	restore := func() {}
	if w.file, err = f.openFound(root, info); errors.Is(err, fs.ErrPermission) {
		if _, noted := f.notes.get(f.sink.Path); !noted || root.Chmod(f.sink.name(), 0o600) != nil {
			return nil, noted, err
		}
		restore = func() { _ = root.Chmod(f.sink.name(), info.Mode().Perm()) } // its reader may be closed out on purpose
		w.file, err = f.openFound(root, info)
	}
	if err != nil {
		restore()
		return nil, false, err
	}
	if err = w.lock(); err == nil {
		var content []byte
		content, err = readToken(w.file)
		w.size, w.sum = int64(len(content)), sumOf(content)
		if err == nil && !f.owns(content) {
			suspect, err = holdsToken(content), errForeign(f.oddMode(info))
		}
	}
	if err != nil {
		restore()
		_ = w.file.Close()
		return nil, suspect, err
	}
	f.makeWritable(root, w)
	return w, false, nil
}

// makeWritable opens a found file of the agent's again, for writing, so that it can be emptied
// under its other names, too. Files of mode 0400 could only be read.
func (f *file) makeWritable(root *os.Root, w *writtenFile) {
	_ = w.file.Chmod(0o600) // if it fails, opening may fail as well
	again, err := root.OpenFile(f.sink.name(), os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		w.readOnly = err
		return
	}
	if now, err := again.Stat(); err != nil || !w.sameAs(now) {
		_ = again.Close()
		w.readOnly = errReplaced
		return
	}
	_ = w.file.Close() // and with it the lock
	w.file = again
	_ = w.lock()
}

// oddMode names the mode of a file that is no token file's by its mode alone.
func (f *file) oddMode(info fs.FileInfo) string {
	if slices.Contains(allowedModes, info.Mode()) {
		return ""
	}
	return " (mode " + info.Mode().String() + ")"
}

// openFound opens the file info in root to read it.
func (f *file) openFound(root *os.Root, info fs.FileInfo) (*os.File, error) {
	opened, err := root.OpenFile(f.sink.name(), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if now, err := opened.Stat(); err != nil || !os.SameFile(now, info) {
		_ = opened.Close()
		return nil, errReplaced
	}
	return opened, nil
}

const errReplaced = refusal("it was replaced just now; reload to try again at once")

// owns reports whether the agent has written content to the path: by its note, or, where
// there is none because an older version wrote it or the state folder is gone, if it is
// nothing but an ID token of the environment. An API key is the agent's only by a note.
func (f *file) owns(content []byte) bool {
	if noted, ok := f.notes.get(f.sink.Path); ok && (len(content) == 0 || slices.Contains(noted.Sums, sumOf(content))) {
		return true
	}
	l, ok := layoutOf(f.o.Render, f.sink.Format)
	if !ok || f.leftOver || f.o.Issued == nil {
		return false
	}
	token := l.token(content)
	return token != "" && f.o.Issued(f.sink.Environment, token)
}

// removeTemps removes the temporary files of an agent that was killed while it wrote. In a
// folder that cannot be read nothing can be removed, so its errors are ignored.
func (s Sink) removeTemps() {
	names, _ := filepath.Glob(filepath.Join(globQuote(filepath.Dir(s.Path)), globQuote(s.tempPrefix())+"*"))
	if len(names) == 0 {
		return
	}
	root, _, err := s.openFolder()
	if err != nil {
		return
	}
	defer root.Close()
	for _, name := range names {
		_ = root.Remove(filepath.Base(name))
	}
}

func (s Sink) name() string { return filepath.Base(s.Path) }

// tempPrefix begins the names of files that are still being written.
func (s Sink) tempPrefix() string { return "." + s.name() + ".kyc-" }

// explain adds to err what was being done, to which file, and the next step.
func (s Sink) explain(doing string, err error) error {
	cause := plainCause(err)
	if _, ok := cause.(refusal); ok {
		return fmt.Errorf("cannot %s %s: %w", doing, s.Path, cause)
	}
	return fmt.Errorf("cannot %s %s: %w%s", doing, s.Path, cause, s.hint(cause))
}

// plainCause returns err without the names that os adds.
func plainCause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// A refusal is an error whose text already contains the next step.
type refusal string

func (r refusal) Error() string { return string(r) }

func (s Sink) hint(cause error) string {
	switch {
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return "; free some space there"
	case errors.Is(cause, syscall.EBUSY):
		return "; something is mounted there: run: umount " + shellquote.Quote(s.Path)
	case errors.Is(cause, fs.ErrNotExist), errors.Is(cause, syscall.EROFS), errors.Is(cause, fs.ErrPermission):
		return "; " + s.otherPath()
	}
	return "; fix that, or name another path"
}

// isGone reports whether a path leads to nothing.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// leftLine is the line about a file that still holds a token, or may.
func leftLine(path, verb string, names uint64, cause error) string {
	under := ""
	if names > 1 {
		under = fmt.Sprintf(" under %d names", names)
	}
	text := plainCause(cause).Error()
	if _, ok := plainCause(cause).(refusal); !ok {
		text += "; remove it"
	}
	return fmt.Sprintf("%s %s a token%s: %s", inMessage(path), verb, under, text)
}

const (
	stillHolds = "still holds"
	mayHold    = "may hold"
)
