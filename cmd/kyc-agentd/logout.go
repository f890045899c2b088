package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

func (c *cli) logout() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Long: usageLogout, Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			client := c.client()
			st, err := client.Status(cmd.Context()) // it knows the default's name
			if err != nil {
				return err
			}
			environment := cmp.Or(c.environment(args), st.DefaultEnvironment)
			if err := client.Logout(cmd.Context(), agent.LogoutRequest{Environment: environment}); err != nil {
				return err
			}
			c.say("%s: signed out", environment)
			return nil
		},
	}
}
