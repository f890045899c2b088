package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// listOptions are the options of `list`.
type listOptions struct {
	json, quiet bool
}

// listCommand lists the environments of the agent, or those of the configuration if none
// answers. It is also below `environment` and `env`, with help texts for these.
func (c *cli) listCommand(usage string) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls", "environments", "envs", "profiles"}, SuggestFor: []string{"show"},
		Short: "list the environments", Long: usage, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := c.client().Status(cmd.Context())
			if noAgent(err) {
				st, err = c.configuredEnvironments()
			}
			switch {
			case err != nil:
				return err
			case o.json:
				return writeJSON(c.io.shown(), st.Environments)
			case o.quiet:
				return writeNames(c.io.out, st)
			}
			return writeEnvironments(c.io.out, st)
		},
	}
	addJSONFlag(cmd, &o.json)
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "")
	return cmd
}

// writeNames writes one name a line, for scripts.
func writeNames(w io.Writer, st agent.Status) error {
	for _, e := range st.Environments {
		if _, err := fmt.Fprintln(w, e.Name); err != nil {
			return err
		}
	}
	return nil
}

// writeEnvironments writes the environments for a person, as wide as the terminal is.
func writeEnvironments(w io.Writer, st agent.Status) error {
	table := statustext.Table{Header: []string{"ENVIRONMENT", "STATE", "USER", "API"}}
	for _, e := range st.Environments {
		name := sanitize.OneLine(e.Name)
		if e.Name == st.DefaultEnvironment {
			name += " (default)"
		}
		table.Rows = append(table.Rows, []string{name, cmp.Or(state(e), "-"), statustext.User(e), sanitize.OneLine(e.APIURL)})
	}
	return table.Write(w, terminal.Columns(w))
}
