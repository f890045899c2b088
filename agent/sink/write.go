package sink

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/durable"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// A lockedFile is an existing token file. The lock tells other agents that it is in use;
// the kernel releases the lock of an agent that was killed.
type lockedFile struct {
	file *os.File
	info fs.FileInfo
}

func (w *lockedFile) sameAs(info fs.FileInfo) bool { return w != nil && os.SameFile(w.info, info) }

func (w *lockedFile) close() {
	if w != nil {
		_ = w.file.Close()
	}
}

// A filePrefix is the text before the token, with which every file of a format begins.
type filePrefix string

// sampleToken begins every JWT (RFC 7515: the first two bytes of its header are `{"`).
const sampleToken = "eyJ"

// tokenStarts are the beginnings of a token: of a JWT and of an API key.
var tokenStarts = []string{sampleToken, "sk_"}

// filePrefixOf returns the prefix of a format. It is empty for a format that render does
// not know; no file is ever written in such a format.
func filePrefixOf(render func(string, agent.Token, time.Time) ([]byte, error), format string) filePrefix {
	text, _ := render(format, agent.Token{IDToken: agent.NewSecret(sampleToken)}, time.Now())
	before, _, _ := strings.Cut(string(text), sampleToken)
	return filePrefix(before)
}

// startsFile reports whether f begins with the prefix and a token, or is empty.
func (p filePrefix) startsFile(f *os.File) bool {
	begin := make([]byte, len(p)+len(sampleToken))
	n, err := f.ReadAt(begin, 0)
	if n == 0 && err == io.EOF {
		return true
	}
	token, ok := strings.CutPrefix(string(begin[:n]), string(p))
	return ok && slices.Contains(tokenStarts, token)
}

// write replaces the file at the path by one with data. old is the file that this agent
// wrote before, or nil; the caller closes it. A file that begins with prefix was left by a
// killed agent and is replaced, too.
func (s Sink) write(data []byte, old *lockedFile, prefix filePrefix) (*lockedFile, error) {
	root, err := s.openFolder()
	if err != nil {
		return nil, s.explain("write", err)
	}
	defer root.Close()
	err = s.checkReplaceable(root, old, prefix)
	if err == nil {
		err = durable.Replace(root, s.name(), s.tempPrefix(), data, s.Mode)
	}
	var written *lockedFile
	if err == nil {
		written, err = s.lock(root)
	}
	if err != nil {
		return nil, s.explain("write", err)
	}
	return written, nil
}

// checkReplaceable returns an error if the path holds something that is not a token file, or
// a token file that another agent uses.
func (s Sink) checkReplaceable(root *os.Root, old *lockedFile, prefix filePrefix) error {
	info, err := root.Lstat(s.name())
	switch {
	case err != nil:
		return nil // there is no file, or Replace will return the error
	case !replaceable(info):
		return refusal(fmt.Sprintf("what exists there is not one of the agent's token files (mode %s); remove it, or name another path", info.Mode()))
	case old.sameAs(info) || !info.Mode().IsRegular():
		return nil
	}
	found, err := s.lock(root)
	if err != nil {
		return err
	}
	defer found.close()
	if !prefix.startsFile(found.file) {
		return refusal("what exists there is not one of the agent's token files; remove it, or name another path")
	}
	return nil
}

// lock opens the file and locks it. The error is [errInUse] if it is locked already.
func (s Sink) lock(root *os.Root) (*lockedFile, error) {
	f, err := root.OpenFile(s.name(), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		err = errInUse // other errors are ignored: some file systems have no locks
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &lockedFile{f, info}, nil
}

const errInUse = refusal("another kyc-agentd uses it; stop that one, or name another path")

// unchanged reports whether the file at the path is still the written one, unmodified.
func (s Sink) unchanged(written *lockedFile) bool {
	info, err := os.Lstat(s.Path)
	return err == nil && written.sameAs(info) && info.Mode() == written.info.Mode() &&
		info.Size() == written.info.Size() && info.ModTime().Equal(written.info.ModTime())
}

// remove removes the token file old, which this agent wrote, or one with prefix that a
// killed agent left. Anything else at the path stays.
func (s Sink) remove(old *lockedFile, prefix filePrefix) error {
	if _, err := os.Lstat(s.Path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // the folder may be missing, too
	}
	root, err := s.openFolder()
	if err != nil {
		return s.explain("remove", err)
	}
	defer root.Close()
	info, err := root.Lstat(s.name())
	if err != nil || !info.Mode().IsRegular() || s.checkReplaceable(root, old, prefix) != nil {
		return nil
	}
	if err := root.Remove(s.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.explain("remove", err)
	}
	return nil
}

// removeTemps removes the temporary files of an agent that was killed while it wrote. In a
// folder that cannot be read nothing can be removed, so its errors are ignored.
func (s Sink) removeTemps() {
	names, _ := filepath.Glob(filepath.Join(globQuote(filepath.Dir(s.Path)), globQuote(s.tempPrefix())+"*"))
	if len(names) == 0 {
		return
	}
	root, err := s.openFolder()
	if err != nil {
		return
	}
	defer root.Close()
	for _, name := range names {
		_ = root.Remove(filepath.Base(name))
	}
}

var globQuoter = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func globQuote(s string) string { return globQuoter.Replace(s) }

// replaceable reports whether an existing file may be a token file, judged by its type, mode
// and owner, or is a symbolic link, which is replaced itself. Anything else was put there by
// somebody else. A token file is never readable by everybody, so a mistake in the
// configuration does not overwrite ~/.bashrc; ~/.ssh/id_ed25519 is recognized by its content
// (see filePrefix).
func replaceable(info fs.FileInfo) bool {
	mode := info.Mode()
	return mode.Type() == fs.ModeSymlink || mode.IsRegular() && slices.Contains(allowedModes, mode) && ownerOf(info) == os.Geteuid()
}

func (s Sink) name() string { return filepath.Base(s.Path) }

// tempPrefix begins the names of files that are still being written.
func (s Sink) tempPrefix() string { return "." + s.name() + ".kyc-" }

// openFolder opens the folder of the file. It creates the folder if the parent exists, and
// refuses one in which somebody else could change files. The check is of the opened folder,
// not of its path, so the folder cannot be exchanged in between.
func (s Sink) openFolder() (*os.Root, error) {
	dir := filepath.Dir(s.Path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = checkFolder(info, dir)
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}

func checkFolder(info fs.FileInfo, dir string) error {
	if uid := ownerOf(info); uid != os.Geteuid() {
		return refusal(fmt.Sprintf("the folder %s belongs to uid %d; name a path in a folder that you own", dir, uid))
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return refusal(fmt.Sprintf("the folder %s can be written by others (mode %04o); run: chmod go-w %s", dir, perm, shellquote.Quote(dir)))
	}
	return nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// explain adds to err what was being done, to which file, and the next step.
func (s Sink) explain(doing string, err error) error {
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		cause = e.Err
	}
	if _, ok := cause.(refusal); ok {
		return fmt.Errorf("cannot %s %s: %w", doing, s.Path, cause)
	}
	return fmt.Errorf("cannot %s %s: %w%s", doing, s.Path, cause, s.hint(cause))
}

// A refusal is an error whose text already contains the next step.
type refusal string

func (r refusal) Error() string { return string(r) }

func (s Sink) hint(cause error) string {
	switch {
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return "; free some space there"
	case errors.Is(cause, fs.ErrNotExist):
		return "; make the folder " + filepath.Dir(filepath.Dir(s.Path)) + ", or name another path"
	case errors.Is(cause, syscall.EROFS), errors.Is(cause, fs.ErrPermission):
		return "; name a path in a folder that you own"
	}
	return "; fix that, or name another path"
}
