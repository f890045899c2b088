package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/daemon"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

const (
	keyringVerb    = "keyring-child"
	passphraseVerb = "passphrase-child"
)

// passphraseChildCommand is the child process of agent/lock: scrypt takes 256 MB, which are gone
// with it.
func (c *cli) passphraseChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: passphraseVerb, Hidden: true, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return exitStatus(lock.Child(daemon.Undumpable, os.Stdin, os.Stdout))
		},
	}
}

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
