package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/doctor"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/service"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// logOptions are the options of `log`.
type logOptions struct {
	follow, json bool
	lines        uint
	since        string
}

// journalctl returns the flags for journalctl. --since shows all lines unless it is told how many.
func (o logOptions) journalctl(linesGiven bool) (args []string) {
	if o.since == "" || linesGiven {
		args = append(args, "-n", strconv.FormatUint(uint64(o.lines), 10))
	}
	if o.since != "" {
		args = append(args, "--since="+sinceTime(o.since))
	}
	if o.follow {
		args = append(args, "-f")
	}
	if o.json {
		args = append(args, "-o", "json")
	}
	return args
}

// sinceTime makes "2h" what journalctl calls "-2h". The rest is journalctl's own.
func sinceTime(since string) string {
	if d, err := time.ParseDuration(since); err == nil && d > 0 {
		return fmt.Sprintf("-%ds", max(1, int64(d.Seconds())))
	}
	return since
}

func (c *cli) logCommand() *cobra.Command {
	var o logOptions
	cmd := &cobra.Command{
		Use: "log", Aliases: []string{"logs"}, SuggestFor: []string{"journal", "tail"},
		Short: "show the daemon's log", Long: usageLog, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.showLog(cmd.Context(), o.journalctl(cmd.Flags().Changed("lines")))
		},
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "")
	cmd.Flags().UintVarP(&o.lines, "lines", "n", 50, "")
	cmd.Flags().StringVar(&o.since, "since", "", "")
	addJSONFlag(cmd, &o.json)
	return cmd
}

// showLog replaces this process by journalctl, if the journal has something to show:
// journalctl itself would wait silently for the log of an agent that logs elsewhere.
func (c *cli) showLog(ctx context.Context, args []string) error {
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return c.noJournal("there is no journalctl on this machine")
	}
	match := []string{"--user", "-t", "kyc-agentd"}
	st, running, err := c.statusForLog(ctx)
	if err != nil {
		return err
	}
	if running {
		match = append(match, fmt.Sprintf("_PID=%d", st.PID))
	}
	for _, arg := range args {
		if strings.HasPrefix(arg, "--since=") {
			if err := c.checkTime(ctx, program, arg); err != nil {
				return err
			}
		}
	}
	if err := hasEntries(ctx, program, match); err != nil {
		if running {
			return c.noJournal(fmt.Sprintf("the journal has no entry of the agent (process %d): %v", st.PID, err))
		}
		return c.noJournal(fmt.Sprintf("the journal has no entry of kyc-agentd: %v", err))
	}
	// Entries of earlier agents are shown too.
	argv := append([]string{program, "--user", "-t", "kyc-agentd"}, args...)
	if err := syscall.Exec(program, argv, c.vars); err != nil {
		return &agent.Error{Code: agent.CodeInternal, Op: "log", Message: "cannot run " + program + ": " + config.PlainCause(err), Err: err}
	}
	return nil
}

// logTimeout is how long `log` waits for the agent: one that does not answer is a reason to look.
const logTimeout = 2 * time.Second

// statusForLog returns the status of the agent, if one runs. Its error is a reason for which systemd
// does not start it, and which is not in the agent's log.
func (c *cli) statusForLog(ctx context.Context) (st agent.Status, running bool, err error) {
	asking, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	st, err = c.client().Status(asking)
	running = err == nil
	if unanswered(err) {
		if why := doctor.StartError(ctx, c.vars, c.socketPath(), err); agent.CodeOf(why) == agent.CodeConfiguration {
			return st, false, why
		}
	}
	return st, running, nil
}

// checkTime has journalctl read the time, before it prints anything.
func (c *cli) checkTime(ctx context.Context, program, since string) error {
	cmd := exec.CommandContext(ctx, program, "--user", since, "-q", "-n", "0")
	cmd.Env = append(slices.Clone(c.vars), "LC_ALL=C")
	_, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && bytes.Contains(exit.Stderr, []byte("parse")) {
		return usageError(`want one such as 2h, today or "2026-01-31 14:00"`, "--since takes no such time")
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

func (c *cli) noJournal(why string) error {
	e := &agent.Error{
		Code: agent.CodeUnavailable, Op: "log", Message: why,
		Hint: "an agent that systemd did not start logs to its standard error; look where that went",
	}
	if path := service.LogFile(c.vars); path != "" {
		e.Hint = "see " + shellquote.Quote(path) + ", the log of an agent that `kyc-agentd start` started"
	}
	return e
}
