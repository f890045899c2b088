package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/daemon"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

const keyringVerb = "keyring-child"

// keyringChildCommand is the child process of store/keyring: the daemon starts itself with
// this verb for every call to the keyring, because such a call may hang or crash. Secrets
// pass over stdin and stdout.
func (c *cli) keyringChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: keyringVerb, Hidden: true, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return exitStatus(keyring.Child(daemon.Undumpable, os.Stdin, os.Stdout))
		},
	}
}
