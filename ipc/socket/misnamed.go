package socket

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrWithheld means that systemd keeps this process from the socket: [Withheld].
var ErrWithheld = errors.New("the unit of this process does not see the socket")

// Misnamed says why no agent can be at path, as "is a folder; …/agent.sock is meant". It
// returns "" if nothing is wrong with the name, whether an agent is there or not.
// kyc-token, which imports nothing of the module, has the same rule in unreachable.go.
func Misnamed(path string) string {
	return cmp.Or(misspelled(path), notASocket(path))
}

// misspelled is about names that a shell or another program would understand.
func misspelled(path string) string {
	switch {
	case path == "" || filepath.IsAbs(path):
		return ""
	case strings.Contains(path, ":/"):
		return "is a URL, and a path is needed"
	case strings.ContainsRune("~$%", rune(path[0])):
		return "begins with " + path[:1] + ", which is not replaced here, and a path begins with /"
	}
	return ""
}

// notASocket says what is at path, if it is something else.
func notASocket(path string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return "is a symbolic link that leads to itself"
	case err != nil:
		if _, lerr := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && lerr == nil {
			return "is a symbolic link to nothing"
		}
		return ""
	}
	switch mode := info.Mode(); {
	case mode.Type() == fs.ModeSocket:
		return ""
	case mode.IsDir():
		return "is a folder; " + filepath.Join(path, "agent.sock") + " is meant"
	case mode.IsRegular():
		return "is a file, not a socket"
	case mode.Type() == fs.ModeNamedPipe:
		return "is a pipe, not a socket"
	}
	return "is a device, not a socket"
}
