package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// auditOptions are the options of the commands below `audit`.
type auditOptions struct {
	cli *cli
	dir string

	since, until, user, program string
	events                      []string
	follow, json                bool
	format                      string

	keyFile, logFile string
}

func (c *cli) auditCommand() *cobra.Command {
	o := &auditOptions{cli: c}
	cmd := &cobra.Command{
		Use: "audit", SuggestFor: []string{"history"}, Short: "show and check who got what", Long: usageAudit,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("run: kyc-agentd audit --help", "audit is followed by show, verify, export or init")
			}
			return nil
		},
		RunE: c.needsCommand,
	}
	cmd.PersistentFlags().StringVar(&o.dir, "dir", "", "")
	show := c.takesEnvironment(&cobra.Command{Use: "show", Short: "show who got what", Long: usageAuditShow, Args: atMostOneArg, RunE: o.show})
	show.Flags().BoolVarP(&o.follow, "follow", "f", false, "")
	addJSONFlag(show, &o.json)
	o.addFilters(show)
	export := c.takesEnvironment(&cobra.Command{Use: "export", Short: "write the lines for another program", Long: usageAuditExport, Args: atMostOneArg, RunE: o.export})
	export.Flags().StringVarP(&o.format, "output", "o", "jsonl", "") // --format is an alias of it
	_ = export.RegisterFlagCompletionFunc("output", completeValues("jsonl", "csv"))
	o.addFilters(export)
	verify := &cobra.Command{Use: "verify", Short: "find what was changed or removed", Long: usageAuditVerify, Args: noArgs, RunE: o.verify}
	verify.Flags().StringVar(&o.keyFile, "key-file", "", "")
	verify.Flags().StringVar(&o.logFile, "log", "", "")
	addJSONFlag(verify, &o.json)
	cmd.AddCommand(show, verify, export,
		&cobra.Command{Use: "init", Short: "begin a chain with a key, and show that key once", Long: usageAuditInit, Args: noArgs, RunE: o.init})
	return cmd
}

func (o *auditOptions) addFilters(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.since, "since", "", "")
	cmd.Flags().StringVar(&o.until, "until", "", "")
	cmd.Flags().StringVarP(&o.user, "user", "u", "", "")
	cmd.Flags().StringVar(&o.program, "program", "", "")
	cmd.Flags().StringSliceVar(&o.events, "event", nil, "")
	var events []string
	for _, k := range audit.Kinds {
		events = append(events, string(k))
	}
	_ = cmd.RegisterFlagCompletionFunc("event", completeValues(events...))
}

// folder returns the folder with the log: --dir is for a copy of it.
func (o *auditOptions) folder() (string, error) {
	dir := cmp.Or(o.dir, config.StateDir(o.cli.vars))
	if dir == "" {
		return "", usageError("set XDG_STATE_HOME or HOME to an absolute path, or name the folder with --dir", "there is no folder for the audit log")
	}
	return dir, nil
}

// filter reads the flags. $KYC_ENV is left out: it must not hide lines.
func (o *auditOptions) filter(args []string, now time.Time) (f audit.Filter, err error) {
	f = audit.Filter{User: o.user, Program: o.program}
	if len(args) > 0 || o.cli.env != "" {
		if f.Environment, err = o.cli.environment(args); err != nil {
			return f, err
		}
	}
	if f.Since, err = parseTime("--since", o.since, now); err != nil {
		return f, err
	}
	if f.Until, err = parseTime("--until", o.until, now); err != nil {
		return f, err
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && f.Until.Before(f.Since) {
		return f, usageError("exchange them", "--until is before --since")
	}
	for _, name := range o.events {
		kind := audit.Kind(name)
		if !kind.Known() {
			return f, usageError("want some of: "+kindNames(), "--event takes no such event")
		}
		f.Events = append(f.Events, kind)
	}
	return f, nil
}

func kindNames() string {
	var names []string
	for _, k := range audit.Kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// timeLayouts are how a time may be written. A day alone begins at midnight.
var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// parseTime reads a time of the local clock, or how long ago it is.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.ParseInLocation("15:04", text, now.Location()); err == nil {
		return midnight.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute), nil
	}
	return time.Time{}, usageError(`want one such as 2h, 7d, today, 14:30 or "2026-01-31 14:00"`, "%s takes no such time", flag)
}

func (o *auditOptions) show(cmd *cobra.Command, args []string) error {
	dir, err := o.folder()
	if err != nil {
		return err
	}
	filter, err := o.filter(args, time.Now())
	if err != nil {
		return err
	}
	if o.json {
		out := o.cli.io.shown()
		return o.read(cmd.Context(), dir, filter, func(raw []byte, _ audit.Line) error {
			_, err := fmt.Fprintf(out, "%s\n", raw)
			return err
		}, func() error { return nil })
	}
	table := newAuditTable(o.cli.io.out)
	err = o.read(cmd.Context(), dir, filter, table.add, table.flush)
	return cmp.Or(err, table.flush())
}

func (o *auditOptions) read(ctx context.Context, dir string, f audit.Filter, do func([]byte, audit.Line) error, idle func() error) error {
	if o.follow {
		err := audit.Follow(ctx, dir, f, do, idle)
		if ctx.Err() != nil { // there is no other end
			return nil
		}
		return err
	}
	return audit.Read(dir, f, do)
}

func (o *auditOptions) export(_ *cobra.Command, args []string) error {
	dir, err := o.folder()
	if err != nil {
		return err
	}
	filter, err := o.filter(args, time.Now())
	if err != nil {
		return err
	}
	out := o.cli.io.shown()
	switch o.format {
	case "jsonl":
		return audit.Read(dir, filter, func(raw []byte, _ audit.Line) error {
			_, err := fmt.Fprintf(out, "%s\n", raw)
			return err
		})
	case "csv":
		return exportCSV(out, dir, filter)
	}
	return usageError("want jsonl or csv", "--output takes no such format")
}

// csvHeader are the columns of export --format csv. Programs rely on their order: new ones come
// last.
var csvHeader = []string{
	"n", "chain", "time", "event", "environment", "user", "uid", "pid", "exe", "unit", "parents", "socket",
	"jti", "end", "method", "path", "status", "code", "detail", "grant", "count", "since", "dropped", "note",
}

func exportCSV(w io.Writer, dir string, f audit.Filter) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader); err != nil {
		return err
	}
	err := audit.Read(dir, f, func(_ []byte, l audit.Line) error { return out.Write(csvRow(l)) })
	out.Flush()
	return errors.Join(err, out.Error())
}

func csvRow(l audit.Line) []string {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	var peer audit.Peer
	uid := ""
	if l.Who.Peer != nil {
		peer = *l.Who.Peer
		uid = strconv.Itoa(peer.UID)
	}
	since := ""
	if l.Since != nil {
		since = l.Since.Format(time.RFC3339Nano)
	}
	row := []string{
		strconv.FormatUint(l.N, 10), l.Chain, l.Time.Format(time.RFC3339Nano), string(l.Event), l.What.Environment, l.What.User,
		uid, number(peer.PID), cmp.Or(peer.Exe, peer.Comm), peer.Unit, parentsOf(peer), l.Who.Socket,
		l.What.JTI, l.What.End, l.What.Method, l.What.Path, number(l.What.Status), l.What.Code, l.What.Detail, l.Grant,
		strconv.Itoa(max(1, l.Count)), since, number(int(l.Dropped)), l.Note,
	}
	for i, cell := range row {
		if i > 0 && cell != "" && strings.ContainsRune("=+-@\t", rune(cell[0])) {
			row[i] = "'" + cell // or a spreadsheet would take it for a formula
		}
	}
	return row
}

func parentsOf(p audit.Peer) string {
	var names []string
	for _, parent := range p.Parents {
		names = append(names, fmt.Sprintf("%s (%d)", parent.Exe, parent.PID))
	}
	return strings.Join(names, " < ")
}

func (o *auditOptions) init(*cobra.Command, []string) error {
	dir, err := o.folder()
	if err != nil {
		return err
	}
	key, err := audit.Init(dir)
	if err != nil {
		return err
	}
	o.cli.io.say("this is the first key of a new chain, which begins with the next line; it is shown this once: keep it where no program of yours can read it, for kyc-agentd audit verify")
	if _, err := fmt.Fprintln(o.cli.io.out, key); err != nil {
		return err
	}
	return nil
}
