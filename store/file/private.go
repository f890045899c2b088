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

// An explained error has a complete message: what is wrong, where, and what to do. It
// wraps the kind of error and, if there is one, the operating system's.
type explained struct {
	message string
	wraps   []error
}

func (e *explained) Error() string { return e.message }

func (e *explained) Unwrap() []error { return e.wraps }

func isExplained(err error) bool {
	_, ok := errors.AsType[*explained](err)
	return ok
}

// refuse returns a [store.ErrUnusable]: what the owner of a file can correct.
func refuse(format string, a ...any) error {
	return &explained{fmt.Sprintf(format, a...), []error{store.ErrUnusable}}
}

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
		// A symbolic link that leaves the folder has no error number of its own, and a socket has
		// ENXIO, "no such device or address".
		if info, lstatErr := root.Lstat(name); lstatErr == nil && !errors.Is(err, fs.ErrNotExist) && !info.IsDir() {
			if err := checkRegular(info, path); err != nil {
				return nil, err
			}
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
	if isExplained(err) {
		return err
	}
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err // without the name of the temporary file, which means nothing to a reader
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		cause = e.Err
	}
	wraps := []error{cause}
	if inTheWay(cause) || errors.Is(cause, fs.ErrPermission) {
		wraps = append(wraps, store.ErrUnusable)
	}
	return &explained{fmt.Sprintf("file store: cannot %s %s: %v%s", doing, path, cause, nextStep(cause, path)), wraps}
}

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
		return "; the folder was removed at the same moment: try again"
	case errors.Is(cause, os.ErrClosed):
		return "; the store is closed"
	}
	return ""
}
