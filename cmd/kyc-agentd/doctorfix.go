package main

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/doctor"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// fix runs the commands of r's findings, each one after a question, unless --yes is given. It
// returns how many it ran.
func (o *doctorOptions) fix(ctx context.Context, c *cli, r doctor.Report) (ran int, err error) {
	in := &interaction{cli: c}
	var asked [][]string
	for _, f := range r.Findings {
		known := slices.ContainsFunc(asked, func(command []string) bool { return slices.Equal(command, f.Command) })
		if len(f.Command) == 0 || known {
			continue
		}
		asked = append(asked, f.Command)
		if !o.yes && in.terminal == nil {
			if in.terminal, err = c.io.tty(); err != nil {
				return ran, usageError("run: kyc-agentd doctor --fix --yes", "doctor --fix asks before it changes something, and there is no terminal")
			}
			defer in.terminal.Close()
		}
		c.io.say("%s: %s", f.ID, f.Message)
		if !o.yes {
			if yes, err := in.askYesNo(ctx, "Run: "+commandText(f.Command)+"?"); err != nil {
				return ran, err
			} else if !yes {
				continue
			}
		}
		ran++
		if err := c.repair(ctx, f.Command); err != nil {
			c.io.say("%s: %v", commandText(f.Command), err)
			continue
		}
		c.io.say("done: %s", commandText(f.Command))
	}
	return ran, nil
}

func commandText(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = shellquote.Quote(word)
	}
	return sanitize.OneLine(strings.Join(words, " "))
}

// repair runs the command of a finding. kyc-agentd is this program.
func (c *cli) repair(ctx context.Context, command []string) error {
	if command[0] == "kyc-agentd" {
		verbs := map[string]func(context.Context) error{
			"start": c.startAgent, "restart": c.restartAgent, "reload": c.client().Reload,
		}
		return verbs[command[1]](ctx)
	}
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(out) > 0 {
		return &agent.Error{Code: agent.CodeUnavailable, Op: "doctor", Message: sanitize.OneLine(strings.TrimSpace(string(out))), Err: exit}
	}
	return err
}
