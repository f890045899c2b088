package sink

// The folder of a token file: found, checked and made.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// maxLinks is how many symbolic links a path may have, as in the kernel.
const maxLinks = 40

// openFolder opens the folder of the file and makes it if only that folder is missing, which
// made reports. It refuses one in which somebody else could change files, and one that
// somebody else could move or replace, as sshd's StrictModes does: each folder above it has
// to belong to root or to this user, and nobody else may write to it unless it is sticky.
//
// Each folder is opened in the one before, so that what was checked is what is used: a
// folder that is renamed in the meantime leads nowhere else.
func (s Sink) openFolder() (root *os.Root, made bool, err error) {
	dir := filepath.Dir(s.Path)
	w := walk{sink: s, rest: split(dir)}
	if w.at, err = openDir(unix.AT_FDCWD, "/", "/"); err != nil {
		return nil, false, err
	}
	defer func() { _ = w.at.Close() }()
	for len(w.rest) > 0 {
		if err := w.step(); err != nil {
			return nil, w.made, err
		}
	}
	checked, err := w.at.Stat()
	if err == nil {
		err = s.checkFolder(checked, dir)
	}
	if err != nil {
		return nil, w.made, err
	}
	root, err = openSame(dir, checked)
	return root, w.made, err
}

// openSame opens dir, which must be the folder that was checked.
func openSame(dir string, checked fs.FileInfo) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if info, err := root.Stat("."); err != nil || !os.SameFile(info, checked) {
		_ = root.Close()
		return nil, refusal(fmt.Sprintf("the folder %s was replaced just now; reload to try again at once", dir))
	}
	return root, nil
}

// A walk goes from the folder / to that of a token file.
type walk struct {
	sink  Sink
	at    *os.File // the folder that has been reached
	rest  []string // the names that are still to go
	links int
	made  bool
}

// step goes one name further.
func (w *walk) step() error {
	if info, err := w.at.Stat(); err != nil {
		return err
	} else if err := w.sink.checkAbove(info, w.at.Name()); err != nil {
		return err
	}
	name := w.rest[0]
	info, err := w.lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if len(w.rest) > 1 {
			return refusal(fmt.Sprintf("no such file or directory; make the folder %s, or name another path", filepath.Dir(filepath.Dir(w.sink.Path))))
		}
		err = unix.Mkdirat(int(w.at.Fd()), name, 0o700)
		w.made = err == nil
		if err == nil || errors.Is(err, fs.ErrExist) {
			info, err = w.lstat(name)
		}
	}
	if err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT == unix.S_IFLNK {
		return w.follow(name, int(info.Uid))
	}
	next, err := openDir(int(w.at.Fd()), name, filepath.Join(w.at.Name(), name))
	if err != nil {
		return err
	}
	_ = w.at.Close()
	w.at, w.rest = next, w.rest[1:]
	return nil
}

func (w *walk) lstat(name string) (info unix.Stat_t, err error) {
	err = unix.Fstatat(int(w.at.Fd()), name, &info, unix.AT_SYMLINK_NOFOLLOW)
	return info, err
}

// follow replaces a symbolic link in the path by its target.
func (w *walk) follow(name string, uid int) error {
	path := filepath.Join(w.at.Name(), name)
	if !isTrusted(uid) {
		return refusal(fmt.Sprintf("the symbolic link %s belongs to uid %d; %s", path, uid, w.sink.otherPath()))
	}
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(int(w.at.Fd()), name, buf)
	if err != nil {
		return err
	}
	if w.links++; w.links > maxLinks {
		return syscall.ELOOP
	}
	target := string(buf[:n])
	w.rest = slices.Concat(split(target), w.rest[1:])
	if !filepath.IsAbs(target) {
		return nil
	}
	top, err := openDir(unix.AT_FDCWD, "/", "/")
	if err != nil {
		return err
	}
	_ = w.at.Close()
	w.at = top
	return nil
}

// split returns the names in a path. A link's target may have "..", which is a name as well.
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool { return name == "" || name == "." })
}

// openDir opens the folder name in the folder at. Messages call it path.
func openDir(at int, name, path string) (*os.File, error) {
	fd, err := unix.Openat(at, name, searchOnly|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// isTrusted reports whether uid may own what is above a token file.
func isTrusted(uid int) bool { return uid == 0 || uid == os.Geteuid() || uid == unmappedUID() }

// checkAbove checks a folder that the path of the token file goes through.
func (s Sink) checkAbove(info fs.FileInfo, dir string) error {
	if uid := ownerOf(info); !isTrusted(uid) {
		return refusal(fmt.Sprintf("the folder %s belongs to uid %d, who can replace what is in it; %s", dir, uid, s.otherPath()))
	}
	if info.Mode()&fs.ModeSticky != 0 {
		return nil // others cannot rename or remove what is this user's or root's
	}
	return s.checkWritable(info, dir)
}

// checkFolder checks the folder of the token file itself.
func (s Sink) checkFolder(info fs.FileInfo, dir string) error {
	if uid := ownerOf(info); uid != os.Geteuid() {
		return refusal(fmt.Sprintf("the folder %s belongs to uid %d; %s", dir, uid, s.otherPath()))
	}
	return s.checkWritable(info, dir)
}

func (s Sink) checkWritable(info fs.FileInfo, dir string) error {
	if info.Mode().Perm()&0o022 == 0 {
		return nil
	}
	advice := s.otherPath()
	if mayNarrow(info, dir) {
		advice = "run: chmod go-w " + shellquote.Quote(dir)
	}
	return refusal(fmt.Sprintf("the folder %s can be written by others (mode %04o); %s", dir, unixMode(info), advice))
}

// mayNarrow reports whether nobody but this user needs to write to dir: root owns /tmp, too.
func mayNarrow(info fs.FileInfo, dir string) bool {
	if ownerOf(info) != os.Geteuid() || info.Mode()&fs.ModeSticky != 0 {
		return false
	}
	home, _ := os.UserHomeDir()
	private := []string{home, os.Getenv("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp", "/dev/shm"}
	return os.Geteuid() != 0 || slices.ContainsFunc(private, func(top string) bool {
		below, err := filepath.Rel(top, dir)
		return len(top) > 1 && err == nil && filepath.IsLocal(below) && (below != "." || top == home)
	})
}

// unixMode returns the mode as chmod(1) takes it.
func unixMode(info fs.FileInfo) uint32 {
	return uint32(info.Sys().(*syscall.Stat_t).Mode) & 0o7777
}

// otherPath is the advice where nothing can be changed about a folder.
func (s Sink) otherPath() string {
	return "name a path in a folder that you own, such as ~/" + s.name()
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// inMessage returns a file's name for a message.
func inMessage(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Sprintf("%q", name)
	}
	return name
}
