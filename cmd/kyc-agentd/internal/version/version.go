// Package version says which version of kyc-agentd runs, and whether the file it was
// started from has been replaced since.
package version

import (
	"os"
	"runtime/debug"
	"strings"
)

// Of returns stamp, which packagers set in the program (-ldflags "-X main.version=1.2.3"),
// or else what the Go toolchain recorded.
func Of(stamp string) string {
	if stamp != "" {
		return stamp
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// BinaryReplaced reports whether the file of this program has been replaced: an upgrade
// removes the old file, and Linux then adds " (deleted)" to its name (proc_pid_exe(5)).
func BinaryReplaced() bool {
	path, err := os.Readlink("/proc/self/exe")
	return err == nil && strings.HasSuffix(path, " (deleted)")
}
