package main

import (
	"github.com/spf13/cobra"
)

// helpCommand replaces cobra's own, which ends with 0 for a command that does not exist.
func (c *cli) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help", Short: "print the help text of a command", Long: usageHelp,
		ValidArgsFunction: completeCommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			// Find fails for an unknown command, and returns the arguments that a known one has.
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noSuchCommand(about, append(rest, args...))
			}
			return about.Help()
		},
	}
}

// completeCommand offers the commands below the one that args name.
func completeCommand(cmd *cobra.Command, args []string, _ string) (found []cobra.Completion, _ cobra.ShellCompDirective) {
	about, rest, err := cmd.Root().Find(args)
	if err == nil && len(rest) == 0 {
		for _, sub := range about.Commands() {
			if sub.IsAvailableCommand() {
				found = append(found, cobra.CompletionWithDesc(sub.Name(), sub.Short))
			}
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
