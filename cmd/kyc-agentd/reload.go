package main

import "github.com/spf13/cobra"

func (c *cli) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reload", SuggestFor: []string{"reconfigure"},
		Short: "make the daemon reload its configuration", Long: usageReload, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.client().Reload(cmd.Context()); err != nil {
				return err
			}
			c.io.say("configuration reloaded")
			return nil
		},
	}
}
