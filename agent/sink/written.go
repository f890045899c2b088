package sink

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// A writtenFile is a file that the agent wrote. It stays open, so that it can be emptied when
// its token has to go, whatever has been done to its name, mode and owner by then: hard links
// and mounts of it are emptied, too. Its lock tells other agents that it is in use; the kernel
// releases the lock of an agent that was killed.
type writtenFile struct {
	file *os.File
	root *os.Root // the folder in which it was written; nil once its name is another file's
	info fs.FileInfo
	size int64
	sum  string    // of what was written
	end  time.Time // when the token in it expires; zero: never, or unknown
	// readOnly is why it could not be opened for writing; nil: it was.
	readOnly error
}

func (w *writtenFile) sameAs(info fs.FileInfo) bool { return w != nil && os.SameFile(w.info, info) }

func (w *writtenFile) close() {
	_ = w.file.Close()
	if w.root != nil {
		_ = w.root.Close()
	}
}

// lock locks the file. The error is [errInUse] if it is locked already; others are ignored,
// because some file systems have no locks.
func (w *writtenFile) lock() error {
	if errors.Is(syscall.Flock(int(w.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		return errInUse
	}
	return nil
}

const errInUse = refusal("another kyc-agentd uses it; stop that one, or name another path")

// change says in which way the file at path is not the written one any more, or "".
func (w *writtenFile) change(path string) string {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return "it was removed"
	case !w.sameAs(info):
		return "something else is in its place"
	case info.Mode() != w.info.Mode():
		return "its mode became " + info.Mode().String()
	case ownerOf(info) != ownerOf(w.info) || groupOf(info) != groupOf(w.info):
		return "it was given another owner"
	case info.Size() != w.info.Size() || !info.ModTime().Equal(w.info.ModTime()):
		return "its content was changed"
	}
	return ""
}

// unlink removes the file's name, if it still is this file's.
func (w *writtenFile) unlink(name string) error {
	if w.root == nil {
		return nil
	}
	info, err := w.root.Lstat(name)
	if err != nil || !w.sameAs(info) {
		return nil
	}
	return w.root.Remove(name)
}

// erase empties the file, under all its names. What somebody has written into it since is
// theirs and stays: it is an error then if a token seems to be in it and it has a name left.
func (w *writtenFile) erase() error {
	content, err := readToken(w.file)
	switch {
	case err != nil:
		return err
	case len(content) == 0:
		return nil
	case sumOf(content) == w.sum && w.readOnly != nil:
		if w.links() == 0 {
			return nil
		}
		return w.readOnly
	case sumOf(content) == w.sum:
		return w.file.Truncate(0)
	case w.links() > 0 && w.holdsToken(content):
		return errChanged
	}
	return nil
}

var errChanged = errors.New("it was changed")

func (w *writtenFile) holdsToken(content []byte) bool {
	return int64(len(content)) > w.size && sumOf(content[:w.size]) == w.sum || holdsToken(content)
}

func (w *writtenFile) links() uint64 {
	info, err := w.file.Stat()
	if err != nil {
		return 1
	}
	return uint64(info.Sys().(*syscall.Stat_t).Nlink)
}

func groupOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Gid) }

// maxToken is more than any token file has: an ID token has at most 64 KiB.
const maxToken = 128 << 10

// readToken reads a token file, and of anything larger the beginning.
func readToken(f *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, maxToken))
}

// sampleToken begins every JWT (RFC 7515: the first two bytes of its header are `{"`).
const sampleToken = "eyJ"

// holdsToken reports whether content seems to have a JWT or an API key in it.
func holdsToken(content []byte) bool {
	return bytes.Contains(content, []byte(sampleToken)) || bytes.Contains(content, []byte("sk_"))
}

// A layout is how a format puts a token into a file.
type layout struct{ before, after string }

// layoutOf returns the layout of a format, and false for one that render does not know.
func layoutOf(render renderFunc, format string) (layout, bool) {
	text, err := render(format, agent.Token{IDToken: agent.NewSecret(sampleToken)}, time.Now())
	if err != nil {
		return layout{}, false
	}
	before, after, ok := strings.Cut(string(text), sampleToken)
	return layout{before, strings.TrimSuffix(after, "\n")}, ok
}

// token returns the JWT in the content of a file, or "". Where the token is not followed by
// what the format has there, the file is somebody's own.
func (l layout) token(content []byte) string {
	rest, ok := strings.CutPrefix(string(content), l.before)
	if !ok || !strings.HasPrefix(rest, sampleToken) {
		return ""
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return !strings.ContainsRune(jwtChars, r) })
	if end < 0 {
		end = len(rest)
	}
	// What follows may have times and URLs in it, so its first byte has to do.
	if got := strings.TrimSuffix(rest[end:], "\n"); (got == "") != (l.after == "") || got != "" && got[0] != l.after[0] {
		return ""
	}
	return rest[:end]
}

const jwtChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
