package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

func (c *cli) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Long: usageStatus, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := c.client().Status(cmd.Context())
			if err != nil {
				return err
			}
			if ours := programVersion(); st.Version != ours {
				c.say("warning: the daemon is %s, and this program %s; run: systemctl --user restart kyc-agentd.service", st.Version, ours)
			}
			if asJSON {
				return writeJSON(c.out, st)
			}
			return writeStatus(c.out, st, time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "")
	return cmd
}

func writeJSON(w io.Writer, st agent.Status) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(st)
}

// writeStatus writes st for a person; now is when they read it.
func writeStatus(w io.Writer, st agent.Status, now time.Time) error {
	fmt.Fprintf(w, "kyc-agentd %s, process %d, up %s; sign-ins are kept %s\n",
		st.Version, st.PID, span(time.Duration(st.UptimeSeconds)*time.Second), where(st.Store))
	if st.Store.Advice != "" {
		fmt.Fprintln(w, sanitize.OneLine(st.Store.Advice))
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENVIRONMENT\tSTATE\tUSER\tTOKEN EXPIRES\tNEXT REFRESH\tSIGN-IN ENDS")
	for _, e := range st.Environments {
		name := e.Name
		if name == st.DefaultEnvironment {
			name += " (default)"
		}
		fmt.Fprintln(table, strings.Join([]string{
			name, state(e), who(e), when(e.ExpiresAt, now), when(e.NextRefresh, now), when(e.SignInEndsAt, now),
		}, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := writeSinks(w, st.Sinks, now); err != nil {
		return err
	}
	return writeErrors(w, st, now)
}

// writeSinks writes the token files, if there are any.
func writeSinks(w io.Writer, sinks []agent.SinkStatus, now time.Time) error {
	if len(sinks) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nTOKEN FILE\tENVIRONMENT\tFORMAT\tWRITTEN\tTOKEN EXPIRES")
	for _, s := range sinks {
		fmt.Fprintln(table, strings.Join([]string{
			sanitize.OneLine(s.Path), sanitize.OneLine(s.Environment), sanitize.OneLine(s.Format), when(s.WrittenAt, now), when(s.ExpiresAt, now),
		}, "\t"))
	}
	return table.Flush()
}

// writeErrors writes one line for each thing that a person should know.
func writeErrors(w io.Writer, st agent.Status, now time.Time) (err error) {
	before := "\n"
	line := func(format string, args ...any) {
		_, e := fmt.Fprintf(w, "%s%s\n", before, sanitize.OneLine(fmt.Sprintf(format, args...)))
		err, before = cmp.Or(err, e), ""
	}
	for _, e := range st.Environments {
		if e.Warning != "" {
			line("%s", e.Warning)
		}
		if e.LastError != "" {
			line("%s: %s, %s: %s", e.Name, errorWord(e), when(e.LastErrorAt, now), lastError(e))
		}
		if e.AWSLastError != "" {
			line("%s: no AWS credentials, %s: %s", e.Name, when(e.AWSLastErrorAt, now), strings.TrimPrefix(e.AWSLastError, e.Name+": "))
		}
		if skew := time.Duration(e.SkewSeconds * float64(time.Second)); math.Abs(e.SkewSeconds) > maxSkew.Seconds() {
			line("%s: this machine's clock is %s %s; set it right", e.Name, span(skew.Abs()), behindOrAhead(skew))
		}
	}
	for _, s := range st.Sinks {
		if s.Error != "" {
			line("token file %s: %s", s.Path, s.Error)
		}
	}
	return err
}

// maxSkew is how wrong the clock may be before status says so. Cognito's tokens are
// checked with a minute of leeway.
const maxSkew = 30 * time.Second

func behindOrAhead(skew time.Duration) string {
	if skew > 0 { // Cognito's clock is ahead
		return "behind"
	}
	return "ahead"
}

func state(e agent.EnvironmentStatus) string {
	if e.Degraded {
		return string(e.State) + ", degraded"
	}
	return string(e.State)
}

// who says whose sign-in it is, and whether the agent signs in by itself.
func who(e agent.EnvironmentStatus) string {
	user := cmp.Or(sanitize.OneLine(e.User), "-")
	switch {
	case e.APIKey:
		return "api key"
	case e.Unattended && e.User == "":
		return "by itself"
	case e.Unattended:
		return user + " (by itself)"
	}
	return user
}

// lastError leaves out the environment, which every line has before it.
func lastError(e agent.EnvironmentStatus) string {
	return strings.TrimPrefix(e.LastError, e.Name+": ")
}

func errorWord(e agent.EnvironmentStatus) string {
	if e.Degraded {
		return "degraded"
	}
	return "last error"
}

// where says where sign-ins are kept: "in the keyring", "in memory".
func where(i store.Info) string {
	text := map[string]string{
		"keyring": "in the keyring", "file": "in files", "memory": "in memory",
	}[i.Kind]
	text = cmp.Or(text, "in "+i.Kind)
	if i.Detail != "" {
		text += " (" + sanitize.OneLine(i.Detail) + ")"
	}
	if !i.Lasting {
		text += ", only until the daemon stops"
	}
	return text
}

// when says when t is: "in 54m", "2m ago", "-" when it is no time at all.
func when(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := t.Round(0).Sub(now.Round(0))
	if d < 0 {
		return span(-d) + " ago"
	}
	return "in " + span(d)
}

// span writes a length of time with its two largest units: "1h05m", "54m10s", "3d4h".
func span(d time.Duration) string {
	d = d.Truncate(time.Second)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
