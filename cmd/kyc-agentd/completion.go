package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// completionTimeout is how long a person waits after pressing Tab.
const completionTimeout = time.Second

func (c *cli) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion", Long: usageCompletion, Args: atMostOneArg,
		ValidArgs: []string{"bash", "fish", "zsh"},
		RunE: func(cmd *cobra.Command, args []string) error {
			shells := map[string]func(io.Writer) error{
				"bash": func(w io.Writer) error { return cmd.Root().GenBashCompletionV2(w, false) },
				"fish": func(w io.Writer) error { return cmd.Root().GenFishCompletion(w, false) },
				"zsh":  cmd.Root().GenZshCompletionNoDesc,
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

// addCompletions sets what Tab offers for each command that does not set it itself:
// environments if its help text names that argument, else nothing.
func (c *cli) addCompletions(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		c.addCompletions(cmd)
		switch {
		case cmd.ValidArgsFunction != nil || len(cmd.ValidArgs) > 0 || cmd.HasSubCommands():
		case strings.Contains(cmd.Long, "ENVIRONMENT"):
			cmd.ValidArgsFunction = c.completeEnvironment
		default:
			cmd.ValidArgsFunction = completeValues()
		}
	}
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
func (c *cli) environments(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	st, err := c.client().Status(ctx)
	if err != nil {
		config, _, _ := config.Load("", c.vars)
		return config.Names()
	}
	var names []string
	for _, e := range st.Environments {
		names = append(names, e.Name)
	}
	return names
}

// completeValues offers values.
func completeValues(values ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return slices.Clone(values), cobra.ShellCompDirectiveNoFileComp
	}
}
