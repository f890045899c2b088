package main

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	// upgradeWithin is how long the next image may take: this one first waits for a refresh.
	upgradeWithin = 90 * time.Second
	upgradePoll   = 50 * time.Millisecond
)

// upgradeAgent makes the installed program take over in the process of the agent.
func (c *cli) upgradeAgent(ctx context.Context) error {
	before, err := c.client().Status(ctx)
	if err != nil {
		return err
	}
	if err := c.client().Restart(ctx); err != nil {
		return err
	}
	st, err := c.nextImage(ctx, before)
	if err != nil {
		return err
	}
	c.io.say("the agent is upgraded: process %d as before, %s → %s", st.PID, before.Version, st.Version)
	return nil
}

// nextImage waits until another image of the agent's process answers.
func (c *cli) nextImage(ctx context.Context, before agent.Status) (agent.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, upgradeWithin)
	defer cancel()
	for {
		st, err := c.client().Status(ctx)
		switch {
		case err == nil && (st.Images != before.Images || st.PID != before.PID):
			return st, nil
		case err == nil && st.ImageError != "" && st.StartedAt.After(before.StartedAt):
			return st, &agent.Error{Code: agent.CodeConfiguration, Op: "restart", Message: "not upgraded; the agent goes on as before: " + st.ImageError}
		case err != nil && agent.CodeOf(err) != agent.CodeUnavailable:
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, &agent.Error{
				Code: agent.CodeUnavailable, Op: "restart", Message: "the next image of the agent does not answer within " + upgradeWithin.String(),
				Hint: "see: kyc-agentd log",
			}
		case <-time.After(upgradePoll):
		}
	}
}
