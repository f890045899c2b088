package main

import (
	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/daemon"
)

func (c *cli) storeCommand() *cobra.Command {
	var o daemon.Options
	var dsnFile config.SecretPath
	cmd := &cobra.Command{
		Use: "store", Short: "prepare the store of a fleet", Long: usageStore,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("run: kyc-agentd store --help", "store is followed by init")
			}
			return nil
		},
		RunE: c.needsCommand,
	}
	initialize := &cobra.Command{
		Use: "init", Short: "make the table, or check the Secret", Long: usageStore, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := daemon.InitStore(cmd.Context(), c.daemonOptions(o, c.socketPath()), dsnFile)
			if err == nil {
				c.io.say("%s", done)
			}
			return err
		},
	}
	cmd.PersistentFlags().StringVar(&o.ConfigFile, "config", "", "")
	cmd.PersistentFlags().Var(&dsnFile, "dsn-file", "")
	cmd.AddCommand(initialize)
	return cmd
}
