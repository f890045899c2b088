package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// completionTimeout is how long a person waits after pressing Tab.
const completionTimeout = time.Second

func (c *cli) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion", Short: "print a script that completes command lines in a shell", Long: usageCompletion, Args: atMostOneArg,
		ValidArgs: []cobra.Completion{"bash", "fish", "zsh"},
		RunE: func(cmd *cobra.Command, args []string) error {
			shells := map[string]func(io.Writer) error{
				"bash": func(w io.Writer) error { return cmd.Root().GenBashCompletionV2(w, true) },
				"fish": func(w io.Writer) error { return cmd.Root().GenFishCompletion(w, true) },
				"zsh":  cmd.Root().GenZshCompletion,
			}
			name := strings.Join(args, "")
			write, ok := shells[name]
			if !ok {
				return usageError("run: kyc-agentd completion --help", "no completion for the shell %q; there are: bash, fish, zsh", name)
			}
			return write(c.io.out)
		},
	}
}

// addCompletions completes nothing after each command that does not say what; the default is
// file names. It describes each flag with the help text's words.
func (c *cli) addCompletions(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		c.addCompletions(cmd)
		if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 && !cmd.HasSubCommands() {
			cmd.ValidArgsFunction = completeValues()
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = flagUsage(cmd.Long, f.Name) })
	}
}

// flagUsage returns what the list in help says of --name, as far as its first line goes.
func flagUsage(help, name string) string {
	for line := range strings.Lines(help) {
		flag, usage, _ := strings.Cut(strings.TrimSpace(line), "  ")
		for word := range strings.FieldsSeq(strings.ReplaceAll(flag, ",", " ")) {
			if strings.HasPrefix(line, "  -") && word == "--"+name {
				return strings.TrimRight(strings.TrimSpace(usage), ":;,")
			}
		}
	}
	return ""
}

// completeEnvironment offers the environments as the first argument.
func (c *cli) completeEnvironment(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.environments(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

// environments returns the agent's environments, or those of this user's configuration if no
// agent answers.
func (c *cli) environments(ctx context.Context) (offered []cobra.Completion) {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	st, err := c.client().Status(ctx)
	if err != nil {
		config, _, _ := config.Load("", c.vars)
		return config.Names()
	}
	for _, e := range st.Environments {
		offered = append(offered, cobra.CompletionWithDesc(e.Name, inAWord(e)))
	}
	return offered
}

// completeCode offers the codes of the requests that wait, and of the approvals if granted is set.
func (c *cli) completeCode(granted bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) (codes []cobra.Completion, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		list, err := c.client().Approvals(ctx)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, r := range list.Pending {
			codes = append(codes, r.ID)
		}
		for _, g := range list.Granted {
			if granted {
				codes = append(codes, g.ID)
			}
		}
		// What answers on the socket may be another program, and shells have expanded what is offered.
		return slices.DeleteFunc(codes, func(id string) bool { return !approval.IsCode(id) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// inAWord describes e for a list of completions. The words are all this program's: shells
// have expanded descriptions, and what answers on the socket may be another program.
func inAWord(e agent.EnvironmentStatus) string {
	switch {
	case e.APIKey:
		return "API key"
	case e.State == agent.StateAbsent || e.State == agent.StateRejected:
		return "not signed in"
	case e.State == agent.StateUnknown:
		return "not asked for yet"
	}
	return "signed in"
}

// completeValues offers values.
func completeValues(values ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return slices.Clone(values), cobra.ShellCompDirectiveNoFileComp
	}
}
