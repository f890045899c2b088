package socket

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Withheld says why systemd keeps a process from the socket at path, to which it could not
// connect because of err, and what to add to the process's unit. It returns "" if systemd
// does not. kyc-token has the same rules in unreachable.go.
func Withheld(path string, err error) (why, hint string) {
	call, ok := errors.AsType[*os.SyscallError](err)
	switch {
	case ok && call.Syscall == "socket" && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPERM)):
		return "cannot make a socket: " + reason(err), socketsOfUnits
	case hidden(path):
		return path + " is hidden from this unit by ProtectHome=", "add to it: ProtectHome=tmpfs and BindPaths=" + filepath.Dir(path)
	}
	return "", ""
}

const socketsOfUnits = "a unit needs RestrictAddressFamilies=AF_UNIX and SystemCallFilter=@network-io"

// hidden reports whether this process is in a unit that does not see /run/user, where path
// is: systemd mounts something else there, or closes /run.
func hidden(path string) bool {
	if os.Getenv("INVOCATION_ID") == "" || !strings.HasPrefix(path, "/run/user/") {
		return false
	}
	var run, user syscall.Stat_t
	if err := syscall.Stat("/run/user", &user); err != nil {
		return err == syscall.EACCES
	}
	return syscall.Stat("/run", &run) == nil && (user.Dev != run.Dev || user.Mode&0o777 == 0)
}
