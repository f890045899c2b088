package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/suggest"
)

// What people type who come from other programs: other names of flags, -e for the
// environment, -o json, and slips of the keyboard.

// flagAliases are other names of flags. No help text and no completion has them.
var flagAliases = map[string]string{
	"username": "user", "environment": "env", "profile": "env", "format": "output", "timeout": "for", "force": "yes", "assume-yes": "yes",
}

// flagName returns the name of the flag that is meant by name: also with _ for -.
func flagName(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	name = strings.ReplaceAll(name, "_", "-")
	if alias, ok := flagAliases[name]; ok {
		name = alias
	}
	return pflag.NormalizedName(name)
}

// An environmentFlag is --env. It refuses an empty value, which is most likely an unset
// variable of a script and must not select the default environment.
type environmentFlag string

func (e *environmentFlag) Set(s string) error {
	if s == "" {
		return errors.New("it is empty; leave it out for the default environment")
	}
	*e = environmentFlag(s)
	return nil
}

func (e *environmentFlag) String() string { return string(*e) }
func (*environmentFlag) Type() string     { return config.TextType }

// ofEnvironment is the annotation of a command with the argument ENVIRONMENT.
const ofEnvironment = "environment"

// takesEnvironment marks cmd as one that applies to an environment: its first argument, which
// Tab completes, or --env.
func (c *cli) takesEnvironment(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{ofEnvironment: "yes"}
	cmd.ValidArgsFunction = c.completeEnvironment
	return cmd
}

// beforeVerb runs when the command line is understood. It refuses --env for a command that would
// ignore it.
func (c *cli) beforeVerb(cmd *cobra.Command, _ []string) error {
	if c.catchSignals != nil {
		c.catchSignals()
	}
	if c.env != "" && cmd.Annotations[ofEnvironment] == "" {
		return usageError("leave --env out", "%s is not about an environment", cmd.Name())
	}
	return nil
}

// environment returns the environment of a verb: its argument or --env, else $KYC_ENV, else "",
// which means the agent's default.
func (c *cli) environment(args []string) (string, error) {
	switch {
	case len(args) > 0 && c.env != "":
		return "", usageError("leave one out", "there are two environments: the argument and --env")
	case len(args) > 0 && args[0] == "":
		return "", usageError("leave it out for the default", "the ENVIRONMENT argument is empty")
	case len(args) > 0:
		return args[0], nil
	case c.env != "":
		return string(c.env), nil
	}
	return c.vars.Get("KYC_ENV"), nil
}

// An outputFlag is -o json, another way to write --json.
type outputFlag struct{ json *bool }

func (o outputFlag) Set(s string) error {
	if s != "json" && s != "text" {
		return errors.New("unknown format " + strconv.Quote(s) + "; want json or text")
	}
	*o.json = s == "json"
	return nil
}

func (outputFlag) String() string { return "" }
func (outputFlag) Type() string   { return config.TextType }

// addJSONFlag adds --json and -o json to cmd.
func addJSONFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "")
	cmd.Flags().VarP(outputFlag{asJSON}, "output", "o", "")
	_ = cmd.Flags().MarkHidden("output") // the help text has it beside --json
	_ = cmd.RegisterFlagCompletionFunc("output", completeValues("json", "text"))
}

// noSuchCommand refuses a word that is none of cmd's commands, and names the one that was
// most likely meant.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError(didYouMean(suggestedCommand(cmd, args[0]), "run: "+cmd.CommandPath()+" --help"), "unknown command %q", args[0])
}

// suggestedCommand returns the command that typed is a slip, the beginning or another word
// of, or "".
func suggestedCommand(cmd *cobra.Command, typed string) string {
	if typed == "" {
		return ""
	}
	cmd.SuggestionsMinimumDistance = min(2, len(typed)/2)
	found := slices.Compact(cmd.SuggestionsFor(typed))
	if len(found) > 1 {
		found = []string{suggest.Closest(typed, found)}
	}
	if len(found) == 0 || found[0] == "" {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath()+" "+found[0], cmd.Root().Name()+" ")
}

// didYouMean puts a suggestion, if there is one, before hint.
func didYouMean(suggestion, hint string) string {
	if suggestion == "" {
		return hint
	}
	return "did you mean " + suggestion + "? " + hint
}

// unknownFlag names the flag, and the one that was most likely meant. It never shows a
// value, which may be a password.
func unknownFlag(cmd *cobra.Command, err *pflag.NotExistError) error {
	help := "run: " + cmd.CommandPath() + " --help"
	for _, sub := range cmd.Commands() {
		if sub.Flags().Lookup(err.GetSpecifiedName()) != nil {
			help = "write it after the command, or " + help
			break
		}
	}
	if err.GetSpecifiedShortnames() != "" {
		return usageError(help, "unknown flag -%.1s", err.GetSpecifiedName())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	suggestion := suggest.Closest(err.GetSpecifiedName(), names)
	if suggestion != "" {
		suggestion = "--" + suggestion
	}
	return usageError(didYouMean(suggestion, help), "unknown flag --%s", err.GetSpecifiedName())
}
