package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

func (c *cli) lockCommand() *cobra.Command {
	var least waitTime
	cmd := &cobra.Command{
		Use: "lock", Short: "lock all sign-ins with the passphrase", Long: usageLock, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("for") && least <= 0 {
				return usageError("write it as 8h, or 30m", "--for takes a duration above zero")
			}
			return c.lockAgent(cmd.Context(), time.Duration(least))
		},
	}
	cmd.Flags().Var(&least, "for", "")
	_ = cmd.RegisterFlagCompletionFunc("for", completeValues())
	return cmd
}

// lockAgent returns when another image of the agent answers, which has no sign-in in memory.
func (c *cli) lockAgent(ctx context.Context, least time.Duration) error {
	before, err := c.client().Status(ctx)
	if err != nil {
		return err
	}
	stop := time.AfterFunc(refreshPatience, func() {
		c.io.say("waiting for what is going on: a refresh at Cognito, whose new refresh token would be lost, or a slow disk")
	}).Stop
	err = c.client().Lock(ctx, least)
	stop()
	if err != nil {
		return err
	}
	if before.Lock == nil || !before.Lock.Locked {
		if st, err := c.nextImage(ctx, before); err != nil {
			return notReplaced(st, err, "locked, but its memory may have sign-ins still, because")
		}
	}
	st, err := c.client().Status(ctx)
	if err != nil {
		return err
	}
	c.io.say("the agent is locked; to unlock it, run: kyc-agentd unlock")
	for _, e := range st.Environments {
		if e.Unattended {
			c.io.say("%s: whoever can read its password_file can sign in without the passphrase", e.Name)
		}
	}
	if st.Lock != nil && !st.Lock.Until.IsZero() {
		c.io.say("no passphrase unlocks it before %s", st.Lock.Until.Local().Format("2006-01-02 15:04"))
	}
	return nil
}

// notReplaced returns the error of a lock or an unlock after which the process could not be replaced
// by a fresh image; done says what was done all the same.
func notReplaced(st agent.Status, err error, done string) error {
	if st.ImageError == "" {
		return err
	}
	return &agent.Error{
		Code: agent.CodeConfiguration, Op: "lock", Err: err,
		Message: done + " no fresh image took over: " + st.ImageError, Hint: "correct that, then run: kyc-agentd restart",
	}
}

// refreshPatience is when a person is told what a lock waits for.
const refreshPatience = 2 * time.Second

// refuseLocked is for a verb that would ask for a password first, and then be refused.
func refuseLocked(st agent.Status) error {
	if st.Lock == nil || !st.Lock.Locked {
		return nil
	}
	return &agent.Error{Code: agent.CodeLocked, Op: "lock", Message: "the agent is locked with your passphrase", Hint: "run: kyc-agentd unlock"}
}
