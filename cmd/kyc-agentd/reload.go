package main

import (
	"context"
	"errors"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

func (c *cli) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reload", SuggestFor: []string{"reconfigure"},
		Short: "make the daemon reload its configuration", Long: usageReload, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.reload(cmd.Context()); err != nil {
				return err
			}
			c.io.say("configuration reloaded")
			return nil
		},
	}
}

// reload is for a verb that has asked nothing so far.
func (c *cli) reload(ctx context.Context) error {
	ctx, stop := untilSignal(ctx, syscall.SIGHUP, syscall.SIGQUIT) // see interact
	defer stop()
	in := &interaction{cli: c}
	return interrupted(ctx, in.reload(ctx))
}

// reload makes the daemon reload its configuration. If that takes a protection away, the person
// is told which, and asked for the passphrase; the refusal is the error where there is no terminal.
func (in *interaction) reload(ctx context.Context) error {
	err := in.cli.client().Reload(ctx)
	refusal, ok := errors.AsType[*agent.Error](err)
	if !ok || refusal.Code != agent.CodeApprovalRequired {
		return err
	}
	if in.terminal == nil {
		defer in.openTerminal()()
	}
	if in.terminal == nil {
		return err
	}
	in.terminal.Printf("%s", refusal.Message)
	return in.tryPassphrases(ctx, func(p agent.Secret) error { return in.cli.client().ReloadWith(ctx, p, refusal.Message) })
}
