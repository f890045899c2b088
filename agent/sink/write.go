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

// A lockedFile is a token file that is there. It is locked, which tells another agent that
// somebody keeps it; the kernel unlocks the file of one that was killed.
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

// A filePrefix is what every token file of a format begins with, up to the token.
type filePrefix string

// sampleToken begins every JWT (RFC 7515: the first two bytes of its header are `{"`).
const sampleToken = "eyJ"

// tokenStarts are what a token begins with; the other one is an API key's.
var tokenStarts = []string{sampleToken, "sk_"}

// filePrefixOf is the mark of a format. Where render knows none such, there are no files of it.
func filePrefixOf(render func(string, agent.Token, time.Time) ([]byte, error), format string) filePrefix {
	text, _ := render(format, agent.Token{IDToken: agent.NewSecret(sampleToken)}, time.Now())
	before, _, _ := strings.Cut(string(text), sampleToken)
	return filePrefix(before)
}

// startsFile reports whether f has the mark and a token behind it, or nothing at all in it.
func (p filePrefix) startsFile(f *os.File) bool {
	begin := make([]byte, len(p)+len(sampleToken))
	n, err := f.ReadAt(begin, 0)
	if n == 0 && err == io.EOF {
		return true
	}
	token, ok := strings.CutPrefix(string(begin[:n]), string(p))
	return ok && slices.Contains(tokenStarts, token)
}

// write puts data in the place of what is at the path, old in most cases, which the
// caller closes. m is what an agent that was killed has left.
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

// checkReplaceable refuses to take the place of what is neither a token file nor nothing, and of
// what another agent keeps.
func (s Sink) checkReplaceable(root *os.Root, old *lockedFile, prefix filePrefix) error {
	info, err := root.Lstat(s.name())
	switch {
	case err != nil:
		return nil // nothing, or Replace will say why not
	case !replaceable(info):
		return refusal(fmt.Sprintf("what is there is no token file of the agent's (mode %s); remove it, or name another path", info.Mode()))
	case old.sameAs(info) || !info.Mode().IsRegular():
		return nil
	}
	found, err := s.lock(root)
	if err != nil {
		return err
	}
	defer found.close()
	if !prefix.startsFile(found.file) {
		return refusal("what is there is no token file of the agent's; remove it, or name another path")
	}
	return nil
}

// lock opens the file and locks it. It is [errInUse] when somebody has.
func (s Sink) lock(root *os.Root) (*lockedFile, error) {
	f, err := root.OpenFile(s.name(), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		err = errInUse // a file system without locks is none to fail for
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &lockedFile{f, info}, nil
}

const errInUse = refusal("another kyc-agentd keeps it; stop that one, or name another path")

// unchanged reports whether the file that write made is still there as it was.
func (s Sink) unchanged(written *lockedFile) bool {
	info, err := os.Lstat(s.Path)
	return err == nil && written.sameAs(info) && info.Mode() == written.info.Mode() &&
		info.Size() == written.info.Size() && info.ModTime().Equal(written.info.ModTime())
}

// remove removes a token file of the agent's, of this one, which is old, or of one that
// was killed. What else may be at the path stays.
func (s Sink) remove(old *lockedFile, prefix filePrefix) error {
	if _, err := os.Lstat(s.Path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // and the folder need not be there either
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

// removeTemps removes what an agent left that was killed while it wrote. A folder that
// cannot be read has none that could be removed.
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

// replaceable reports whether a token file may take the place of what is there, by the
// looks of it: an older one, or a symbolic link, which is itself replaced. Anything else
// somebody else put there: a file of ours is never open to others, so that ~/.bashrc is
// safe from a slip in the configuration, and ~/.ssh/id_ed25519 is by its mark.
func replaceable(info fs.FileInfo) bool {
	mode := info.Mode()
	return mode.Type() == fs.ModeSymlink || mode.IsRegular() && slices.Contains(allowedModes, mode) && ownerOf(info) == os.Geteuid()
}

func (s Sink) name() string { return filepath.Base(s.Path) }

// tempPrefix begins the names of half-written files.
func (s Sink) tempPrefix() string { return "." + s.name() + ".kyc-" }

// openFolder opens the file's folder, which it makes where only that is missing, and refuses
// one that somebody else could change files in. What is returned was checked itself,
// and not its name.
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
		return refusal(fmt.Sprintf("the folder %s belongs to uid %d; name a path in a folder of yours", dir, uid))
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return refusal(fmt.Sprintf("the folder %s can be written by others (mode %04o); run: chmod go-w %s", dir, perm, shellquote.Quote(dir)))
	}
	return nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// explain says what was being done to the file, and what to do where there is
// something to do.
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

// A refusal says already what to do.
type refusal string

func (r refusal) Error() string { return string(r) }

func (s Sink) hint(cause error) string {
	switch {
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return "; free some space there"
	case errors.Is(cause, fs.ErrNotExist):
		return "; make the folder " + filepath.Dir(filepath.Dir(s.Path)) + ", or name another path"
	case errors.Is(cause, syscall.EROFS), errors.Is(cause, fs.ErrPermission):
		return "; name a path in a folder of yours"
	}
	return "; mend that, or name another path"
}
