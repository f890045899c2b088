package main

import (
	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/daemon"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

func (c *cli) serveCommand() *cobra.Command {
	var o daemon.Options
	cmd := &cobra.Command{
		Use: "serve", SuggestFor: []string{"daemon", "agent"},
		Short: "run the daemon", Long: usageServe, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return daemon.Serve(cmd.Context(), c.daemonOptions(o, c.socketPath()))
		},
	}
	cmd.Flags().StringVar(&o.ConfigFile, "config", "", "")
	cmd.Flags().Var(&o.Store, "store", "")
	cmd.Flags().Var(&o.Level, "log-level", "")
	cmd.Flags().BoolVar(&o.NoProxyAPI, "no-proxy-api", false, "")
	_ = cmd.RegisterFlagCompletionFunc("store", completeValues("auto", "file", "keyring", "memory"))
	_ = cmd.RegisterFlagCompletionFunc("log-level", completeValues("debug", "error", "info", "warn"))
	return cmd
}

// daemonOptions adds to o, which has the flags, what the program knows.
func (c *cli) daemonOptions(o daemon.Options, socket string) daemon.Options {
	o.Vars, o.Socket, o.Log, o.Version = c.vars, socket, c.io.err, programVersion()
	o.KeyringCommand, o.Harden = keyring.SelfCommand(keyringVerb), c.harden
	return o
}
