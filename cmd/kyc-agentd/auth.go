package main

import (
	"github.com/spf13/cobra"
)

// authCommand has the verbs of sign-ins below `auth`, where gh, gcloud and others have
// theirs. Like tokenCommand it is for habit, so no help text lists it.
func (c *cli) authCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "auth", Hidden: true, Long: usageAuth, Args: noSuchCommand, RunE: c.needsCommand}
	cmd.AddCommand(c.loginCommand(), c.statusCommand(), c.logoutCommand(), c.whoamiCommand(), c.tokenCommand())
	return cmd
}

// tokenCommand says which program prints a token.
func (c *cli) tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "token", Aliases: []string{"get-token", "print-access-token", "print-identity-token"}, Hidden: true,
		DisableFlagParsing: true, // those of kyc-token are other ones
		RunE: func(*cobra.Command, []string) error {
			return usageError("run: kyc-token", "kyc-agentd prints no token")
		},
	}
}
