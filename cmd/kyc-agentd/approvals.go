package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/ipc"
)

func (c *cli) approvalsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "approvals", SuggestFor: []string{"grants", "pending"},
		Short: "list what waits for an approval, and what has one", Long: usageApprovals, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.client().Approvals(cmd.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(c.io.shown(), list)
			}
			return writeApprovals(c.io.out, list, time.Now())
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// writeApprovals writes two tables for a person.
func writeApprovals(w io.Writer, list ipc.ApprovalList, now time.Time) error {
	if len(list.Pending)+len(list.Granted) == 0 {
		_, err := fmt.Fprintln(w, "no requests wait, and nothing is approved")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSTATE\tWHAT\tPROGRAM")
	for _, r := range list.Pending {
		fmt.Fprintf(table, "%s\twaits %s\t%s\t%s, %s\n", r.ID, now.Sub(r.AskedAt).Round(time.Second), r.Use, r.Facts.Process, r.Subject)
	}
	for _, g := range list.Granted {
		fmt.Fprintf(table, "%s\tuntil %s\t%s\t%s\n", g.ID, g.EndsAt.Local().Format("2006-01-02 15:04"), scope(g), g.Subject)
	}
	return table.Flush()
}

// scope says what a grant allows.
func scope(g approval.Grant) string {
	return approval.Use{
		Environment: g.Environment, Socket: g.Socket, Kind: g.Kind, Method: strings.Join(g.Methods, ", "), Path: strings.Join(g.Paths, ", "),
	}.String()
}

// revokeOptions are the options of `revoke`.
type revokeOptions struct{ all, json bool }

// run returns how many approvals and requests there were.
func (o *revokeOptions) run(ctx context.Context, client *ipc.Client, id string) (int, error) {
	if o.all {
		return client.RevokeAll(ctx)
	}
	return 1, client.Revoke(ctx, id)
}

func (c *cli) revokeCommand() *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use: "revoke", Aliases: []string{"deny"}, SuggestFor: []string{"disapprove", "disallow"},
		Short: "take an approval back, or answer a request with no", Long: usageRevoke, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			id := strings.Join(args, "")
			if o.all == (id != "") {
				return usageError("see: kyc-agentd approvals", "revoke needs a code, or --all")
			}
			n, err := o.run(cmd.Context(), c.client(), id)
			switch {
			case err != nil:
				return err
			case o.json:
				return writeJSON(c.io.out, map[string]int{"revoked": n})
			case o.all:
				c.io.say("taken back: %d", n)
			default:
				c.io.say("%s: taken back", strings.ToUpper(id))
			}
			return nil
		},
	}
	addJSONFlag(cmd, &o.json)
	cmd.ValidArgsFunction = c.completeCode(true)
	cmd.Flags().BoolVarP(&o.all, "all", "a", false, "")
	return cmd
}
