package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/service"
)

func (c *cli) startCommand() *cobra.Command {
	return &cobra.Command{
		Use: "start", Short: "start the daemon in the background", Long: usageStart, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.startAgent(cmd.Context()) },
	}
}

func (c *cli) stopCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "stop the daemon", Long: usageStop, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.stopAgent(cmd.Context()) },
	}
}

func (c *cli) restartCommand() *cobra.Command {
	upgrade := false
	cmd := &cobra.Command{
		Use: "restart", Short: "restart the daemon", Long: usageRestart, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if upgrade {
				return c.upgradeAgent(cmd.Context())
			}
			return c.restartAgent(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&upgrade, "upgrade", false, "")
	return cmd
}

// manager returns what runs the agent.
func (c *cli) manager(ctx context.Context) (service.Manager, error) {
	if by := c.caller().ElevatedBy(); by != "" && c.socket == "" {
		return nil, usageError("run it as yourself", "you are uid 0 (%s), and each user has an agent", by)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program: %w", err)
	}
	return service.Find(ctx, service.Options{
		Socket: c.socketPath(), Explicit: c.socket != "", Vars: c.vars, Program: program,
		Status: c.client().Status, NoAgent: noAgent, Say: c.io.say,
	})
}

func (c *cli) startAgent(ctx context.Context) error {
	m, err := c.manager(ctx)
	if err != nil {
		return err
	}
	if m.PID() != 0 {
		// One that refuses to start with a wrong configuration ends if that is right by now.
		if _, err := c.client().Status(ctx); agent.CodeOf(err) != agent.CodeConfiguration {
			return c.sayRuns(ctx, "runs already", m)
		}
		if err := c.client().Reload(ctx); err != nil {
			return err
		}
	}
	if err := m.Start(ctx); err != nil {
		return err
	}
	return c.sayRuns(ctx, "is started", m)
}

func (c *cli) stopAgent(ctx context.Context) error {
	m, err := c.manager(ctx)
	if err != nil {
		return err
	}
	if !m.Runs() {
		c.io.say("nothing to stop: no agent answers on %s", c.socketPath())
		return nil
	}
	c.sayMemory(ctx, m)
	if err := m.Stop(ctx); err != nil {
		return stopError(ctx, err)
	}
	c.io.say("the agent is stopped (%s)", m.Name())
	return nil
}

func (c *cli) restartAgent(ctx context.Context) error {
	m, err := c.manager(ctx)
	if err != nil {
		return err
	}
	c.sayMemory(ctx, m)
	if err := m.Restart(ctx); err != nil {
		return stopError(ctx, err)
	}
	return c.sayRuns(ctx, "is restarted", m)
}

// stopError is err, or what Ctrl-C means while the agent ends.
func stopError(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return &agent.Error{Code: agent.CodeUnavailable, Op: "stop", Message: "cancelled; the agent goes on ending", Hint: "see: kyc-agentd status", Err: ctx.Err()}
}

// sayMemory warns of sign-ins that end with the agent.
func (c *cli) sayMemory(ctx context.Context, m service.Manager) {
	if m.PID() == 0 {
		return // to ask would start it
	}
	st, err := c.client().Status(ctx)
	if err != nil {
		return
	}
	for _, e := range st.Environments {
		switch {
		case e.State == agent.StateUnsaved:
			c.io.say("warning: %s: the newest refresh token could not be saved and ends with the agent; afterwards, run: kyc-agentd login %[1]s", e.Name)
		case !st.Store.Lasting && (e.User != "" || e.APIKey):
			c.io.say("warning: sign-ins are kept in memory and end with the agent; afterwards, run: kyc-agentd login %s", e.Name)
		}
	}
}

// sayRuns says how the agent was started, and that it answers.
func (c *cli) sayRuns(ctx context.Context, how string, m service.Manager) error {
	st, err := c.client().Status(ctx)
	if err == nil {
		c.io.say("the agent %s: process %d, %s (%s)", how, st.PID, st.Version, m.Name())
	}
	return err
}
