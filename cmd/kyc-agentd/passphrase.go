package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

func (c *cli) passphraseCommand() *cobra.Command {
	stdin := false
	cmd := &cobra.Command{
		Use: "passphrase", Short: "set the passphrase that locks the sign-ins", Long: usagePassphrase, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.interact(cmd, func(ctx context.Context, in *interaction, before agent.Status) error {
				if err := refuseLocked(before); err != nil {
					return err
				}
				return c.setPassphrase(ctx, in, before.Lock != nil && before.Lock.Passphrase, stdin)
			})
		},
	}
	cmd.Flags().BoolVar(&stdin, "passphrase-stdin", false, "")
	return cmd
}

// setPassphrase asks for the current passphrase, if there is one, and for the new one twice.
func (c *cli) setPassphrase(ctx context.Context, in *interaction, exists, stdin bool) error {
	set := func(old, next agent.Secret) error {
		return c.client().SetPassphrase(ctx, old, next)
	}
	var err error
	switch {
	case stdin && exists:
		return usageError("run it at a terminal", "a passphrase is changed with the old one, and --passphrase-stdin has room for one")
	case stdin:
		var next agent.Secret
		if next, err = c.io.readSecret(ctx, "passphrase", "leave --passphrase-stdin out to be asked"); err == nil {
			err = set(agent.Secret{}, next)
		}
	default:
		defer in.openTerminal()()
		err = in.askAndSet(ctx, exists, set)
	}
	if err != nil {
		return err
	}
	c.io.say("the passphrase is set; to lock the sign-ins, run: kyc-agentd lock")
	c.io.say("there is no way to recover it: without it, sign in again after kyc-agentd logout --local")
	return nil
}

func (in *interaction) askAndSet(ctx context.Context, exists bool, set func(old, next agent.Secret) error) error {
	if in.terminal == nil {
		return noTerminalForPassphrase()
	}
	next := func(old agent.Secret) error {
		passphrase, err := in.askTwice(ctx, "New passphrase?")
		if err != nil {
			return err
		}
		return set(old, passphrase)
	}
	if !exists {
		return next(agent.Secret{})
	}
	typed, err := in.terminal.Ask(ctx, "What is the passphrase now?", true)
	if err != nil {
		return err
	}
	return next(agent.NewSecret(typed))
}

// tryPassphrases asks for the passphrase and calls do with it, again if it was wrong.
func (in *interaction) tryPassphrases(ctx context.Context, do func(agent.Secret) error) error {
	if in.terminal == nil {
		return noTerminalForPassphrase()
	}
	for try := 1; ; try++ {
		typed, err := in.terminal.Ask(ctx, "What is the passphrase of the agent?", true)
		if err == nil {
			err = do(agent.NewSecret(typed))
		}
		wrong, ok := errors.AsType[*agent.Error](err)
		if !ok || !errors.Is(err, agent.ErrBadCredential) || try == passwordTries {
			return err
		}
		in.terminal.Printf("%s; please try again", wrong.Message)
	}
}

func noTerminalForPassphrase() error {
	return usageError("add --passphrase-stdin, or run it at a terminal", "there is no terminal to ask for the passphrase")
}
