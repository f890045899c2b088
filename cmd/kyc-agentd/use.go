package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

func (c *cli) useCommand() *cobra.Command {
	return &cobra.Command{
		Use: "use", Short: "choose the default environment", Long: usageUse, ValidArgsFunction: c.completeEnvironment,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" { // an empty value would mean the built-in default
				return usageError("run: kyc-agentd environment list", "use takes one environment")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.use(cmd.Context(), args[0]) },
	}
}

// use makes name the default environment, in the file and in the agent if one answers.
func (c *cli) use(ctx context.Context, name string) error {
	done, err := config.Set(ctx, "", c.vars, []config.Change{{Key: "default_environment", Value: name}})
	if err != nil {
		return err
	}
	if set := c.vars.Get("KYC_ENV"); set != "" && set != name {
		c.io.say("warning: KYC_ENV is %q in this shell and overrides the default environment", set)
	}
	if err := c.reload(ctx); err != nil && !noAgent(err) {
		return err
	} else if err != nil {
		c.io.say("the default environment is %s, for the agent that starts next", name)
		return nil
	}
	st, err := c.client().Status(ctx)
	if err != nil {
		return err
	}
	if st.DefaultEnvironment != name {
		c.io.say("warning: %s has %s as the default environment, and the agent has %s: it was started with another file (--config)",
			done.Path, name, st.DefaultEnvironment)
		return nil
	}
	c.io.say("the default environment is %s", name)
	return nil
}
