package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
)

// waitInterval is how often `wait` asks. A question costs no call of Cognito while the agent
// pauses after a failure, or while a person has to sign in.
const waitInterval = 250 * time.Millisecond

// waitOptions are the options of `wait`.
type waitOptions struct {
	cli   *cli
	limit waitTime
}

func (c *cli) waitCommand() *cobra.Command {
	o := &waitOptions{cli: c, limit: waitTime(30 * time.Second)}
	cmd := &cobra.Command{
		Use: "wait", Short: "wait until a token can be had", Long: usageWait, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			env, err := c.environment(args)
			if err != nil {
				return err
			}
			return o.run(cmd.Context(), env)
		},
	}
	cmd.Flags().Var(&o.limit, "for", "")
	_ = cmd.RegisterFlagCompletionFunc("for", completeValues())
	return c.takesEnvironment(cmd)
}

// run asks for a token until there is one, or until only a person at the configuration could
// change the answer.
func (o *waitOptions) run(ctx context.Context, env string) error {
	limit := time.Duration(o.limit)
	deadline := time.Now().Add(limit)
	var last error
	for {
		t, err := o.ask(ctx, env, time.Until(deadline))
		switch {
		case err == nil:
			o.cli.io.say("%s: a token is there", t.Environment)
			return nil
		case ctx.Err() != nil:
			return terminal.ErrCancelled
		case !mayChange(err):
			return err
		case last == nil || !errors.Is(err, context.DeadlineExceeded):
			last = err // which says more than that the time is over
		}
		left := time.Until(deadline)
		if left <= 0 {
			return inVain(last, limit)
		}
		select {
		case <-time.After(min(left, waitInterval)):
		case <-ctx.Done():
		}
	}
}

// ask asks once, for limit at most if that is above 0, but long enough for an answer from
// memory. Nobody sees the token.
func (o *waitOptions) ask(ctx context.Context, env string, limit time.Duration) (agent.Token, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(limit, time.Second))
		defer cancel()
	}
	return o.cli.client().Token(ctx, agent.TokenRequest{Environment: env})
}

// mayChange reports whether the same question may get another answer soon.
func mayChange(err error) bool {
	switch agent.CodeOf(err) {
	case agent.CodeLoginRequired, agent.CodeApprovalRequired, agent.CodeLocked, agent.CodeUnavailable, agent.CodeThrottled:
		return true
	}
	return false
}

// inVain says in err how long `wait` has waited.
func inVain(err error, limit time.Duration) error {
	e, ok := errors.AsType[*agent.Error](err)
	if !ok || limit < time.Second {
		return err
	}
	out := *e
	out.Message = fmt.Sprintf("no token within %s: %s", statustext.Duration(limit), e.Message)
	return &out
}

// A waitTime is a duration such as 30s, or whole seconds.
type waitTime time.Duration

func (t *waitTime) Set(s string) error {
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		*t = waitTime(time.Duration(seconds) * time.Second)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return errors.New("want a duration such as 30s or 5m, or 30 for seconds")
	}
	*t = waitTime(d)
	return nil
}

func (t *waitTime) String() string { return time.Duration(*t).String() }
func (*waitTime) Type() string     { return config.TextType }
