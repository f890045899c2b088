package socket

import (
	"os"
	"path/filepath"
	"strconv"
)

// runtimeDir returns the folder that systemd creates as a user's XDG_RUNTIME_DIR.
func runtimeDir(func(string) string) string {
	return filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
}
