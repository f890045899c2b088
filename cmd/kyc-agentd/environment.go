package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

func (c *cli) environmentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "environment", Short: "List the environments", Long: usageEnvironment,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("run: kyc-agentd environment list", "environment is followed by list")
			}
			return nil
		},
		RunE: c.needsCommand,
	}
	cmd.AddCommand(c.environmentListCommand(usageEnvironment))
	return cmd
}

// environmentListCommand is below `environment`, and below `env`, where many type it.
func (c *cli) environmentListCommand(usage string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the environments", Long: usage, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.listEnvironments(cmd.Context()) },
	}
}

// listEnvironments lists those of the agent, or those of the configuration if none answers.
func (c *cli) listEnvironments(ctx context.Context) error {
	st, err := c.client().Status(ctx)
	switch {
	case noAgent(err):
		if st, err = c.configuredEnvironments(); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	table := tabwriter.NewWriter(c.io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENVIRONMENT\tAPI\tUSER")
	for _, e := range st.Environments {
		name := sanitize.OneLine(e.Name)
		if e.Name == st.DefaultEnvironment {
			name += " (default)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", name, sanitize.OneLine(e.APIURL), statustext.User(e))
	}
	return table.Flush()
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
