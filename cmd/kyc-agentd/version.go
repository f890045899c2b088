package main

import (
	"fmt"

	"github.com/spf13/cobra"

	programversion "github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/version"
)

// version is set by packagers: -ldflags "-X main.version=1.2.3".
var version string

// programVersion is version, or what the Go toolchain recorded.
func programVersion() string { return programversion.Of(version) }

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Long: usageVersion, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.io.out, "kyc-agentd", programVersion())
			return err
		},
	}
}
