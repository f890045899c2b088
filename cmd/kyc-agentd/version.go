package main

import (
	"io"
	"runtime"

	"github.com/spf13/cobra"

	programversion "github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/version"
)

// version is set by packagers: -ldflags "-X main.version=1.2.3".
var version string

// programVersion is version, or what the Go toolchain recorded.
func programVersion() string { return programversion.Of(version) }

// writeVersion is what --version and the verb print.
func writeVersion(w io.Writer) error {
	_, err := io.WriteString(w, "kyc-agentd "+programVersion()+"\n")
	return err
}

// addVersionFlag adds --version and -v to root, in whose place it prints the version whatever else
// the command line has.
func addVersionFlag(root *cobra.Command) {
	var asked bool
	root.Flags().BoolVarP(&asked, "version", "v", false, "version for "+root.Name())
	args, pre, run := root.Args, root.PersistentPreRunE, root.RunE
	root.Args = func(cmd *cobra.Command, rest []string) error {
		if asked {
			return nil
		}
		return args(cmd, rest)
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, rest []string) error {
		if asked {
			return nil
		}
		return pre(cmd, rest)
	}
	root.RunE = func(cmd *cobra.Command, rest []string) error {
		if asked {
			return writeVersion(cmd.OutOrStdout())
		}
		return run(cmd, rest)
	}
}

func (c *cli) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "print the version, as --version does", Long: usageVersion, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return writeJSON(c.io.shown(), build{"kyc-agentd", programVersion(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			return writeVersion(c.io.out)
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// build is what `version --json` says of this program.
type build struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}
