package main

import (
	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// environmentCommand has `list` where people who know the AWS CLI or gh look for it.
func (c *cli) environmentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "environment", Hidden: true, Short: "list the environments", Long: usageEnvironment,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("run: kyc-agentd environment list", "environment is followed by list")
			}
			return nil
		},
		RunE: c.needsCommand,
	}
	cmd.AddCommand(c.listCommand(usageEnvironment))
	return cmd
}

// configuredEnvironments returns what an agent that starts now would have.
func (c *cli) configuredEnvironments() (st agent.Status, err error) {
	loaded, _, err := config.Load("", c.vars)
	if err != nil {
		return st, err
	}
	st.DefaultEnvironment = loaded.DefaultEnvironment
	for _, name := range loaded.Names() {
		e := loaded.Environments[name]
		st.Environments = append(st.Environments, agent.EnvironmentStatus{
			Name: name, APIURL: e.BaseURL(), User: e.Username.String(), Unattended: e.Username.String() != "",
		})
	}
	return st, nil
}
