package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/securityreport"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// statusOptions are the options of `status`.
type statusOptions struct {
	cli                   *cli
	json, watch, security bool
}

func (c *cli) statusCommand() *cobra.Command {
	o := &statusOptions{cli: c}
	cmd := &cobra.Command{
		Use: "status", Aliases: []string{"st"}, Short: "show what the daemon holds", Long: usageStatus, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			env := ""
			if len(args) > 0 || c.env != "" { // without, all are shown, whatever $KYC_ENV is
				var err error
				if env, err = c.environment(args); err != nil {
					return err
				}
			}
			if o.security && (o.watch || env != "") {
				return usageError(usageStatus, "--security is about the whole agent: without --watch and without an environment")
			}
			if o.watch {
				return o.keepShowing(cmd.Context(), env)
			}
			return o.run(cmd.Context(), env)
		},
	}
	addJSONFlag(cmd, &o.json)
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "")
	cmd.Flags().BoolVar(&o.security, "security", false, "")
	return c.takesEnvironment(cmd)
}

// run shows the status. Of one environment it also finds out whether a token can be had; the
// state alone does not say what Cognito would answer.
func (o *statusOptions) run(ctx context.Context, env string) error {
	var tokenErr error
	if env != "" {
		_, tokenErr = o.cli.client().Token(ctx, agent.TokenRequest{Environment: env})
	}
	st, err := o.status(ctx, env)
	if err != nil {
		return err
	}
	if own := programVersion(); st.Version != own {
		o.cli.io.say("warning: the daemon is %s, and this program %s; run: systemctl --user restart kyc-agentd.service", st.Version, own)
	}
	out := o.cli.io.out
	if o.json {
		out = o.cli.io.shown()
	}
	return cmp.Or(o.write(out, st), tokenErr)
}

// status asks the daemon for the status: of all environments, or of env only.
func (o *statusOptions) status(ctx context.Context, env string) (agent.Status, error) {
	st, err := o.cli.client().Status(ctx)
	if err != nil || env == "" {
		return st, err
	}
	e, err := findEnvironment(st, env)
	st.Environments = []agent.EnvironmentStatus{e}
	st.Sinks = slices.DeleteFunc(st.Sinks, func(s agent.SinkStatus) bool { return s.Environment != env })
	return st, err
}

func (o *statusOptions) write(w io.Writer, st agent.Status) error {
	report := securityreport.New(st, o.cli.socketPath())
	switch {
	case o.security && o.json:
		return writeJSON(w, report)
	case o.security:
		return report.Write(w, terminal.Columns(w))
	case o.json:
		return writeJSON(w, st)
	}
	return writeStatus(w, st, time.Now())
}

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// writeStatus writes st for a person, who reads it at now, as wide as the terminal is.
func writeStatus(w io.Writer, st agent.Status, now time.Time) error {
	width := terminal.Columns(w)
	w = statustext.Wrapped(w, width)
	fmt.Fprintf(w, "kyc-agentd %s, process %d, up %s; sign-ins are kept %s\n",
		sanitize.OneLine(st.Version), st.PID, statustext.Duration(time.Duration(st.UptimeSeconds)*time.Second), statustext.Store(st.Store))
	if st.Store.Advice != "" {
		fmt.Fprintln(w, sanitize.OneLine(st.Store.Advice))
	}
	for _, line := range statustext.Lock(st, now) {
		fmt.Fprintln(w, line)
	}
	if line := statustext.Audit(st.Audit); line != "" {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w)
	table := statustext.Table{Header: []string{"ENVIRONMENT", "STATE", "USER", "TOKEN EXPIRES", "NEXT REFRESH", "SIGN-IN ENDS"}}
	for _, e := range st.Environments {
		name := sanitize.OneLine(e.Name)
		if e.Name == st.DefaultEnvironment {
			name += " (default)"
		}
		table.Rows = append(table.Rows, []string{
			name, state(e), statustext.User(e),
			statustext.Time(e.ExpiresAt, now), statustext.Time(e.NextRefresh, now), statustext.Time(e.SignInEndsAt, now),
		})
	}
	if err := table.Write(w, width); err != nil {
		return err
	}
	if err := writeSinks(w, width, st.Sinks, now); err != nil {
		return err
	}
	if err := writeSockets(w, width, st.Sockets); err != nil {
		return err
	}
	if err := writeBudgets(w, st.APIBudgets, now); err != nil {
		return err
	}
	if err := writeSettings(w, st); err != nil {
		return err
	}
	return writeErrors(w, st, now)
}

// writeSettings writes a line for each environment that uses other servers than AWS's own, or
// asks a person, one for the network and one for the agent's variables, if there is something to say.
func writeSettings(w io.Writer, st agent.Status) (err error) {
	before := "\n"
	line := func(where, settings string) {
		if settings != "" {
			_, e := fmt.Fprintf(w, "%s%s: %s\n", before, sanitize.OneLine(where), settings)
			err, before = cmp.Or(err, e), ""
		}
	}
	for _, e := range st.Environments {
		line(e.Name, statustext.Endpoints(e))
		if e.Confirm {
			line(e.Name, "each program needs an approval; see: kyc-agentd approvals")
		}
	}
	line("network", statustext.Network(st))
	line("variables of the agent", statustext.Variables(st))
	return err
}

// writeSinks writes the token files, if there are any.
func writeSinks(w io.Writer, width int, sinks []agent.SinkStatus, now time.Time) error {
	if len(sinks) == 0 {
		return nil
	}
	table := statustext.Table{Header: []string{"TOKEN FILE", "ENVIRONMENT", "FORMAT", "WRITTEN", "TOKEN EXPIRES"}}
	for _, s := range sinks {
		table.Rows = append(table.Rows, []string{
			sanitize.OneLine(s.Path), sanitize.OneLine(s.Environment), sanitize.OneLine(s.Format),
			statustext.Time(s.WrittenAt, now), statustext.Time(s.ExpiresAt, now),
		})
	}
	fmt.Fprintln(w)
	return table.Write(w, width)
}

// writeSockets writes the sockets with a policy, if there are any.
func writeSockets(w io.Writer, width int, sockets []agent.SocketStatus) error {
	if len(sockets) == 0 {
		return nil
	}
	table := statustext.Table{Header: []string{"SOCKET", "ENVIRONMENTS", "ALLOWS", "RATE", "PATH"}}
	for _, s := range sockets {
		table.Rows = append(table.Rows, []string{
			sanitize.OneLine(s.Name), list(s.Environments), statustext.Allowed(s), cmp.Or(sanitize.OneLine(s.Rate), "-"), list(s.Paths),
		})
	}
	fmt.Fprintln(w)
	return table.Write(w, width)
}

func list(texts []string) string { return cmp.Or(sanitize.OneLine(strings.Join(texts, ", ")), "-") }

// writeBudgets writes a line for each API whose limit is known.
func writeBudgets(w io.Writer, budgets []agent.APIBudget, now time.Time) error {
	before := "\n"
	for _, b := range budgets {
		if _, err := fmt.Fprintf(w, "%s%s (%s): %s\n", before,
			sanitize.OneLine(b.API), sanitize.OneLine(strings.Join(b.Environments, ", ")), statustext.APIBudget(b, now)); err != nil {
			return err
		}
		before = ""
	}
	return nil
}

// writeErrors writes a line for each error and warning.
func writeErrors(w io.Writer, st agent.Status, now time.Time) (err error) {
	before := "\n"
	line := func(format string, args ...any) {
		_, e := fmt.Fprintf(w, "%s%s\n", before, sanitize.OneLine(fmt.Sprintf(format, args...)))
		err, before = cmp.Or(err, e), ""
	}
	for _, e := range st.Environments {
		if needs := statustext.NeedsRestart(e.NeedsRestart); needs != "" {
			line("%s: restart to take %s; run: systemctl --user restart kyc-agentd.service", e.Name, needs)
		}
		if e.Warning != "" {
			line("%s", e.Warning)
		}
		if fleet := statustext.Fleet(e); fleet != "" && e.State != agent.StateUnknown {
			line("%s: shared: %s", e.Name, fleet)
		}
		if e.LastError != "" {
			word := "last error"
			if e.Degraded {
				word = "degraded"
			}
			line("%s: %s, %s: %s", e.Name, word, statustext.Time(e.LastErrorAt, now), statustext.LastError(e))
		}
		if e.AWSLastError != "" {
			line("%s: no AWS credentials, %s: %s", e.Name, statustext.Time(e.AWSLastErrorAt, now), strings.TrimPrefix(e.AWSLastError, e.Name+": "))
		}
		if skew := time.Duration(e.SkewSeconds * float64(time.Second)); math.Abs(e.SkewSeconds) > statustext.MaxClockSkew.Seconds() {
			line("%s: this machine's clock is %s; set it right", e.Name, statustext.Clock(skew))
		}
	}
	for _, s := range st.Sockets {
		if s.Error != "" {
			line("socket %s: %s", s.Name, s.Error)
		}
	}
	for _, s := range st.Sinks {
		if s.Error != "" {
			line("token file %s: %s", s.Path, s.Error)
		}
		for _, left := range s.Left {
			line("token file %s", left)
		}
	}
	return err
}

func state(e agent.EnvironmentStatus) string {
	state := sanitize.OneLine(string(e.State))
	if e.Degraded {
		return state + ", degraded"
	}
	return state
}
