package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

func (c *cli) logCommand() *cobra.Command {
	var follow, asJSON bool
	var lines uint
	cmd := &cobra.Command{
		Use: "log", Long: usageLog, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			args := []string{"-n", strconv.FormatUint(uint64(lines), 10)}
			if follow {
				args = append(args, "-f")
			}
			if asJSON {
				args = append(args, "-o", "json")
			}
			return c.showLog(cmd.Context(), args)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "")
	cmd.Flags().UintVarP(&lines, "lines", "n", 50, "")
	cmd.Flags().BoolVar(&asJSON, "json", false, "")
	return cmd
}

// showLog replaces this process by journalctl, if the journal has something to show:
// journalctl itself would wait silently for the log of an agent that logs elsewhere.
func (c *cli) showLog(ctx context.Context, args []string) error {
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return noJournal("there is no journalctl on this machine")
	}
	match := []string{"--user", "-t", "kyc-agentd"}
	st, err := c.client().Status(ctx)
	running := err == nil
	if running {
		match = append(match, fmt.Sprintf("_PID=%d", st.PID))
	}
	if err := hasEntries(ctx, program, match); err != nil {
		if running {
			return noJournal(fmt.Sprintf("the journal has no entry of the agent (process %d): %v", st.PID, err))
		}
		return noJournal(fmt.Sprintf("the journal has no entry of kyc-agentd: %v", err))
	}
	// Entries of earlier agents are shown too.
	argv := append([]string{program, "--user", "-t", "kyc-agentd"}, args...)
	if err := syscall.Exec(program, argv, c.vars); err != nil {
		return &agent.Error{Code: agent.CodeInternal, Op: "log", Message: "cannot run " + program + ": " + config.PlainCause(err), Err: err}
	}
	return nil
}

// hasEntries returns an error if journalctl would show nothing.
func hasEntries(ctx context.Context, program string, match []string) error {
	out, err := exec.CommandContext(ctx, program, append(match, "-q", "-n", "1", "-o", "cat")...).Output()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(out) > 0:
		return nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return errors.New(sanitize.OneLine(strings.TrimSpace(string(exit.Stderr))))
	}
	return errors.New("it is empty")
}

func noJournal(why string) error {
	return &agent.Error{
		Code: agent.CodeUnavailable, Op: "log", Message: why,
		Hint: "an agent that systemd did not start logs to its standard error; look where that went",
	}
}
