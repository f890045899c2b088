// Package strictmodes refuses files that another user could have changed, as sshd does with
// its StrictModes: what they say decides where passwords and tokens are sent.
//
// Call [Open] for a file to read, and [Check] for one that another library reads.
//
// A file and every folder and link on the way to it has to belong to the user or to root. A
// file or folder that others can write is refused, with three exceptions: a folder with the
// sticky bit, such as /tmp, where nobody can replace another user's file; the user's private
// group, for which a umask of 002 makes everything writable; and a file system that is mounted
// read-only, such as a ConfigMap of Kubernetes, whose folders have mode 0777.
package strictmodes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// Open opens the regular file at path if no other user can change it. A pipe is refused: it
// could not be read again.
func Open(path string) (*os.File, error) {
	// Without O_NONBLOCK, opening a named pipe would wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := checkOpen(f, path); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// checkOpen judges the file that was opened, and not only the one that is at path by now.
func checkOpen(f *os.File, path string) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	case isUnmapped(ownerOf(info)):
		return fmt.Errorf("%s belongs to a user whom this user namespace does not map; put a copy of your own in its place", path)
	}
	if err := judge(path, path, info); err != nil {
		return err
	}
	return Check(path)
}

// maxLinks is as many symbolic links as Linux follows.
const maxLinks = 40

// Check returns why another user can change or replace the file or folder at path, or nil. Its
// error ends with what to do.
func Check(path string) error { return new(Checker).Check(path) }

// A Checker is for files that share folders, such as those of all certificates: it looks once at
// each folder and link on the way to them. It is for one look at all of them, and not to be kept.
type Checker struct{ good map[string]fs.FileMode }

// lstat returns the type of here, which is path or on the way to it, if it is as it has to be.
func (c *Checker) lstat(path, here string) (fs.FileMode, error) {
	if mode, known := c.good[here]; known {
		return mode, nil
	}
	info, err := os.Lstat(here)
	if err == nil {
		err = judge(path, here, info)
	}
	if err != nil {
		return 0, err
	}
	if c.good == nil {
		c.good = map[string]fs.FileMode{}
	}
	c.good[here] = info.Mode().Type()
	return info.Mode().Type(), nil
}

// Check is [Check].
func (c *Checker) Check(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	here, rest := "/", split(abs)
	for links := 0; ; {
		mode, err := c.lstat(path, here)
		if err != nil {
			return err
		}
		if mode == fs.ModeSymlink {
			target, err := os.Readlink(here)
			if links++; err == nil && links > maxLinks {
				err = &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
			}
			if err != nil {
				return err
			}
			rest = append(split(target), rest...)
			if here = filepath.Dir(here); filepath.IsAbs(target) {
				here = "/"
			}
			continue
		}
		if len(rest) == 0 {
			return nil
		}
		// here is no link, so its parent is the one that ".." means to the kernel.
		here, rest = filepath.Join(here, rest[0]), rest[1:]
	}
}

// split returns the elements of path.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// judge judges what info says of here, which is path or on the way to it.
func judge(path, here string, info fs.FileInfo) error {
	owner := ownerOf(info)
	if owner != os.Getuid() && owner != 0 && !isUnmapped(owner) {
		return foreign(path, here, info)
	}
	perm := info.Mode().Perm()
	switch {
	case info.Mode().Type() == fs.ModeSymlink: // its modes mean nothing
	case perm&0o022 == 0:
	case info.IsDir() && info.Mode()&fs.ModeSticky != 0:
	case perm&0o002 == 0 && isPrivateGroup(groupOf(info)) && !hasACL(here):
	case isReadOnly(here):
	default:
		return writable(path, here, info)
	}
	return nil
}

// foreign is the error for what belongs to another user.
func foreign(path, here string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return fmt.Errorf("%s belongs to uid %d; read it, then run: sudo chown %d %s", path, ownerOf(info), os.Getuid(), shellquote.Quote(here))
	}
	return fmt.Errorf("%s belongs to uid %d, who can replace %s; %s", here, ownerOf(info), path, elsewhere)
}

// elsewhere is the advice where the owner of a folder has to stay what it is.
const elsewhere = "keep that file in a folder that you own"

// writable is the error for what others can write.
func writable(path, here string, info fs.FileInfo) error {
	problem := fmt.Sprintf("%s can be written by others (mode %04o)", path, info.Mode().Perm())
	if info.IsDir() && here != path {
		problem = fmt.Sprintf("%s can be replaced by others: they can write to %s (mode %04o)", path, here, info.Mode().Perm())
	}
	fix := "run: chmod go-w " + shellquote.Quote(here)
	if ownerOf(info) != os.Getuid() {
		if fix = elsewhere; !info.IsDir() {
			fix = "run: sudo chmod go-w " + shellquote.Quote(here)
		}
	}
	return fmt.Errorf("%s; %s", problem, fix)
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

func groupOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Gid) }
