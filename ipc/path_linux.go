package ipc

import (
	"os"
	"path/filepath"
	"strconv"
)

// runtimeDir is where systemd makes a user's XDG_RUNTIME_DIR.
func runtimeDir(func(string) string) string {
	return filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
}
