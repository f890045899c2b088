package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by packagers: -ldflags "-X main.version=1.2.3".
var version string

// programVersion is version, or what the Go toolchain recorded.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// binaryReplaced reports whether the program on the disk is another than this one: an upgrade
// removes the file that runs, and Linux says so behind its name (proc_pid_exe(5)).
func binaryReplaced() bool {
	path, err := os.Readlink("/proc/self/exe")
	return err == nil && strings.HasSuffix(path, " (deleted)")
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Long: usageVersion, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.out, "kyc-agentd", programVersion())
			return err
		},
	}
}
