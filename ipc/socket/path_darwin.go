package socket

import "path/filepath"

// runtimeDir returns a folder that every account has: macOS has none for runtime files,
// and cron jobs do not have the user's TMPDIR.
func runtimeDir(getenv func(string) string) string {
	return filepath.Join("/", getenv("HOME"), "Library", "Application Support")
}
