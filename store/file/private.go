package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/legaltalent/kyc-agent/internal/shellquote"
	"github.com/legaltalent/kyc-agent/store"
)

// A refusal is a [store.ErrUnusable]: an error that the owner of a file can correct. Its
// message is complete: what is wrong, where, and what to type.
type refusal struct {
	message string
	cause   error // of the operating system; may be nil
}

func (r *refusal) Error() string { return r.message }

func (r *refusal) Unwrap() error { return r.cause }

// Is matches [store.ErrUnusable].
func (r *refusal) Is(target error) bool { return target == store.ErrUnusable }

func refuse(format string, a ...any) error { return &refusal{message: fmt.Sprintf(format, a...)} }

// checkPrivate refuses a file or folder that others can open or that belongs to
// someone else. mode is the one in the message's chmod command.
func checkPrivate(info fs.FileInfo, path string, mode fs.FileMode) error {
	if err := checkOwner(info, path); err != nil {
		return err
	}
	if perm := info.Mode().Perm(); hasModes && perm&0o077 != 0 {
		return refuse("%s is open to others (mode %04o); run: chmod %o %s", path, perm, mode, shellquote.Quote(path))
	}
	return nil
}

// readPrivate reads a file that only its owner can open, at most maxFile bytes. path
// is its name in messages.
func readPrivate(root *os.Root, name, path string) ([]byte, error) {
	// Without O_NONBLOCK, opening a named pipe would block until there is a writer.
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		// A symbolic link that leaves the folder has no error number of its own.
		if info, lstatErr := root.Lstat(name); lstatErr == nil && info.Mode().Type() == fs.ModeSymlink && !errors.Is(err, fs.ErrNotExist) {
			return nil, checkRegular(info, path)
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkRegular(info, path); err != nil {
		return nil, err
	}
	if err := checkPrivate(info, path, 0o600); err != nil {
		return nil, err
	}
	return readAtMost(f, path)
}

func checkRegular(info fs.FileInfo, path string) error {
	if !info.Mode().IsRegular() {
		return refuse("%s is not a regular file; move it away: mv %s %s", path, shellquote.Quote(path), shellquote.Quote(path+".old"))
	}
	return nil
}

func readAtMost(r io.Reader, path string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = refuse("%s is above the limit of %d bytes; move it away: mv %s %s", path, maxFile, shellquote.Quote(path), shellquote.Quote(path+".old"))
	}
	return data, err
}

// explain turns an error of the operating system into one line that says which
// operation failed, on which path, and what to do next.
func explain(err error, doing, path string) error {
	if _, ok := errors.AsType[*refusal](err); ok {
		return err
	}
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err // without the name of the temporary file, which means nothing to a reader
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		cause = e.Err
	}
	message := fmt.Sprintf("file store: cannot %s %s: %v%s", doing, path, cause, nextStep(cause, path))
	if inTheWay(cause) || errors.Is(cause, fs.ErrPermission) {
		return &refusal{message, cause}
	}
	return &failure{message, cause}
}

// A failure is an error of the operating system that may pass. Its message is complete.
type failure struct {
	message string
	cause   error
}

func (f *failure) Error() string { return f.message }

func (f *failure) Unwrap() error { return f.cause }

func nextStep(cause error, path string) string {
	switch {
	case inTheWay(cause):
		return "; move it away: mv " + shellquote.Quote(path) + " " + shellquote.Quote(path+".old")
	case isFull(cause):
		return "; free some space there"
	case isReadOnly(cause):
		return "; mount it writable, or set XDG_STATE_HOME to a folder that is"
	case errors.Is(cause, fs.ErrPermission):
		return "; give yourself access to it, or set XDG_STATE_HOME to a folder that you own"
	case errors.Is(cause, fs.ErrNotExist):
		return "; the folder was removed while it was in use: restart kyc-agentd"
	case errors.Is(cause, os.ErrClosed):
		return "; the store is closed"
	}
	return ""
}
