package ipc

import "path/filepath"

// runtimeDir is a folder that every account has: macOS knows none for what runs, and
// the TMPDIR of a user is not in the environment of cron.
func runtimeDir(getenv func(string) string) string {
	return filepath.Join("/", getenv("HOME"), "Library", "Application Support")
}
