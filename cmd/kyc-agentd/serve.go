package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/daemon"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

func (c *cli) serveCommand() *cobra.Command {
	var o daemon.Options
	var check bool
	cmd := &cobra.Command{
		Use: "serve", SuggestFor: []string{"daemon", "agent"},
		Short: "run the daemon", Long: usageServe, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if check {
				if err := daemon.Check(c.daemonOptions(o, c.socketPath())); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), daemon.TakesOver)
				return err
			}
			return daemon.Serve(cmd.Context(), c.daemonOptions(o, c.socketPath()))
		},
	}
	cmd.Flags().StringVar(&o.ConfigFile, "config", "", "")
	cmd.Flags().Var(&o.Store, "store", "")
	cmd.Flags().Var(&o.Level, "log-level", "")
	cmd.Flags().BoolVar(&o.NoProxyAPI, "no-proxy-api", false, "")
	// A daemon that is to be replaced runs the next program with this first.
	cmd.Flags().BoolVar(&check, "check", false, "")
	_ = cmd.Flags().MarkHidden("check")
	_ = cmd.RegisterFlagCompletionFunc("store", completeValues("auto", "file", "keyring", "kubernetes", "memory", "postgres"))
	_ = cmd.RegisterFlagCompletionFunc("log-level", completeValues("debug", "error", "info", "warn"))
	return cmd
}

// daemonOptions adds to o, which has the flags, what the program knows.
func (c *cli) daemonOptions(o daemon.Options, socket string) daemon.Options {
	o.Vars, o.Socket, o.Log, o.Version = c.vars, socket, c.io.err, programVersion()
	o.KeyringCommand, o.PassphraseCommand, o.Harden = keyring.SelfCommand(keyringVerb), keyring.SelfCommand(passphraseVerb), c.harden
	return o
}
