package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// configOptions are the options of the commands below `config`.
type configOptions struct {
	cli  *cli
	file string
	json bool
}

func (c *cli) configCommand() *cobra.Command {
	o := configOptions{cli: c}
	cmd := &cobra.Command{
		Use: "config", Short: "show and change config.toml", Long: usageConfig,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("run: kyc-agentd config --help", "config is followed by path, show, get, set or check")
			}
			return nil
		},
		RunE: c.needsCommand,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if o.json && cmd.Name() != "show" {
				return usageError("leave it out", "--json goes with config show")
			}
			return c.beforeVerb(cmd, args) // cobra runs the nearest hook only
		},
	}
	cmd.PersistentFlags().StringVar(&o.file, "config", "", "")
	cmd.PersistentFlags().BoolVar(&o.json, "json", false, "")
	cmd.AddCommand(
		&cobra.Command{Use: "show", Short: "show what is in force and where it is from", Long: usageConfig, Args: noArgs, RunE: o.show},
		&cobra.Command{Use: "path", Short: "print the path of config.toml", Long: usageConfig, Args: noArgs, RunE: o.path},
		&cobra.Command{Use: "get", Short: "print the value of a key", Long: usageConfig, Args: o.oneKey, RunE: o.get, ValidArgsFunction: o.completeGet},
		&cobra.Command{Use: "set", Short: "change the value of a key", Long: usageConfig, Args: o.keysAndValues, RunE: o.set, ValidArgsFunction: o.completeSet},
		&cobra.Command{Use: "check", Short: "say what a daemon would not accept", Long: usageConfig, Args: noArgs, RunE: o.check},
	)
	return cmd
}

func (o *configOptions) path(*cobra.Command, []string) error {
	path, err := config.FilePath(o.file, o.cli.vars)
	if err == nil {
		_, err = fmt.Fprintln(o.cli.io.out, path)
	}
	return err
}

func (o *configOptions) show(*cobra.Command, []string) error {
	all, err := config.Settings(o.file, o.cli.vars)
	if err != nil {
		return err
	}
	if o.json {
		e := json.NewEncoder(o.cli.io.shown())
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(all)
	}
	table := tabwriter.NewWriter(o.cli.io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tVALUE\tFROM")
	for _, s := range all {
		fmt.Fprintln(table, strings.Join([]string{sanitize.OneLine(s.Key), sanitize.OneLine(s.Value), sanitize.OneLine(s.From)}, "\t"))
	}
	return table.Flush()
}

func (o *configOptions) get(_ *cobra.Command, args []string) error {
	value, err := config.Get(o.file, o.cli.vars, args[0])
	if err == nil {
		_, err = fmt.Fprintln(o.cli.io.shown(), value)
	}
	return err
}

func (o *configOptions) check(*cobra.Command, []string) error {
	path, err := config.FilePath(o.file, o.cli.vars)
	if err != nil {
		return err
	}
	c, warnings, err := config.Check(o.file, o.cli.vars)
	if err != nil {
		return err
	}
	for _, text := range warnings {
		o.cli.io.say("warning: %s", text)
	}
	o.cli.io.say("%s is right; environments: %s", path, strings.Join(c.Names(), ", "))
	return nil
}

func (o *configOptions) set(cmd *cobra.Command, args []string) error {
	var changes []config.Change
	for pair := range slices.Chunk(args, 2) {
		changes = append(changes, config.Change{Key: pair[0], Value: pair[1]})
	}
	done, err := config.Set(cmd.Context(), o.file, o.cli.vars, changes)
	if err != nil {
		return err
	}
	for _, text := range done.Warnings {
		o.cli.io.say("warning: %s", text)
	}
	switch {
	case !done.Changed:
		o.cli.io.say("%s has that already", done.Path)
	case done.Restart:
		o.cli.io.say("%s changed; next, run: kyc-agentd restart", done.Path)
	default:
		o.cli.io.say("%s changed; next, run: kyc-agentd reload", done.Path)
	}
	return nil
}

// oneKey and keysAndValues limit the arguments. Their errors do not show what was typed: it may
// be a secret in the wrong place.
func (o *configOptions) oneKey(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("run: kyc-agentd config show", "get takes one key")
	}
	return nil
}

func (o *configOptions) keysAndValues(_ *cobra.Command, args []string) error {
	if len(args) == 0 || len(args)%2 != 0 {
		return usageError("run: kyc-agentd config --help", "set takes a key and a value, or several such pairs")
	}
	return nil
}

func (o *configOptions) keys() []string {
	c, _, _ := config.Load(o.file, o.cli.vars)
	return c.Keys()
}

func (o *configOptions) completeGet(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return o.keys(), cobra.ShellCompDirectiveNoFileComp
}

// completeSet offers keys, and for the value of a key the words that it may have.
func (o *configOptions) completeSet(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args)%2 == 0 {
		return o.keys(), cobra.ShellCompDirectiveNoFileComp
	}
	key := args[len(args)-1]
	c, _, _ := config.Load(o.file, o.cli.vars)
	switch key = key[strings.LastIndexByte(key, '.')+1:]; {
	case strings.HasSuffix(key, "_file"):
		return nil, cobra.ShellCompDirectiveDefault
	case key == "default_environment", key == "forward_environments", key == "extends":
		return c.Names(), cobra.ShellCompDirectiveNoFileComp
	}
	return config.Words(key), cobra.ShellCompDirectiveNoFileComp
}
