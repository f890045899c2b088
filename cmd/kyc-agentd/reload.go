package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

func (c *cli) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reload", SuggestFor: []string{"reconfigure"},
		Short: "make the daemon reload its configuration", Long: usageReload, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := c.client().Reload(cmd.Context())
			if errors.Is(err, agent.CodeApprovalRequired) {
				err = c.reloadWithPassphrase(cmd, err)
			}
			if err != nil {
				return err
			}
			c.io.say("configuration reloaded")
			return nil
		},
	}
}

// reloadWithPassphrase asks for the passphrase after the refusal of a reload, which is the error
// where there is no terminal.
func (c *cli) reloadWithPassphrase(cmd *cobra.Command, refusal error) error {
	return c.interact(cmd, func(ctx context.Context, in *interaction, _ agent.Status) error {
		defer in.openTerminal()()
		if in.terminal == nil {
			return refusal
		}
		if e, ok := errors.AsType[*agent.Error](refusal); ok {
			in.terminal.Printf("%s", e.Message)
		}
		return in.tryPassphrases(ctx, func(p agent.Secret) error { return c.client().ReloadWith(ctx, p) })
	})
}
