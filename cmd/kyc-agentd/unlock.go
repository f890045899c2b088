package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

func (c *cli) unlockCommand() *cobra.Command {
	stdin := false
	cmd := &cobra.Command{
		Use: "unlock", Short: "unlock the sign-ins", Long: usageUnlock, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.interact(cmd, func(ctx context.Context, in *interaction, before agent.Status) error {
				if before.Lock == nil || !before.Lock.Passphrase {
					return &agent.Error{
						Code: agent.CodeConfiguration, Op: "unlock", Message: "there is no passphrase, so nothing is locked with one", Hint: "run: kyc-agentd passphrase",
					}
				}
				return c.unlockAgent(ctx, in, before, stdin)
			})
		},
	}
	cmd.Flags().BoolVar(&stdin, "passphrase-stdin", false, "")
	return cmd
}

// unlockAgent asks for the passphrase, up to passwordTries times at a terminal.
func (c *cli) unlockAgent(ctx context.Context, in *interaction, before agent.Status, stdin bool) error {
	unlock := func(passphrase agent.Secret) error {
		return c.client().Unlock(ctx, passphrase)
	}
	var err error
	if stdin {
		var passphrase agent.Secret
		if passphrase, err = c.io.readSecret(ctx, "passphrase", "leave --passphrase-stdin out to be asked"); err == nil {
			err = unlock(passphrase)
		}
	} else {
		defer in.openTerminal()()
		err = in.tryPassphrases(ctx, unlock)
	}
	if err != nil {
		return err
	}
	if before.Lock.Locked {
		if st, err := c.nextImage(ctx, before); err != nil {
			return notReplaced(st, err, "unlocked, but its memory may have the key still, because")
		}
	}
	c.io.say("the agent is unlocked")
	return nil
}
