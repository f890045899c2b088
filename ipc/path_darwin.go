package ipc

import "path/filepath"

// runtimeDir is beside the store: macOS has no folder for what runs, and the TMPDIR of
// a user is not in the environment of cron.
func runtimeDir(getenv func(string) string) string {
	return filepath.Join("/", getenv("HOME"), ".local", "state")
}
