package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// envTimeout is how long `env` waits for the agent. It runs while a shell starts.
const envTimeout = 2 * time.Second

// A shell is a family of shells with the same syntax for variables.
type shell struct {
	set, unset string // with %[1]s for the name and %[2]s for the quoted value
	escapes    *strings.Replacer
}

// shells are the families, by the name of their flag.
var shells = map[string]shell{
	"sh": {"%[1]s=%[2]s; export %[1]s;\n", "unset %[1]s;\n", strings.NewReplacer(`'`, `'\''`)},
	// csh expands history references between single quotes, too.
	"csh":  {"setenv %[1]s %[2]s;\n", "unsetenv %[1]s;\n", strings.NewReplacer(`'`, `'\''`, `!`, `\!`)},
	"fish": {"set -gx %[1]s %[2]s;\n", "set -e %[1]s;\n", strings.NewReplacer(`\`, `\\`, `'`, `\'`)},
}

// chosenShell returns the shell whose flag is set, else the family of $SHELL, which is path.
func chosenShell(flags map[string]*bool, path string) (shell, error) {
	var chosen []string
	for name, set := range flags {
		if *set {
			chosen = append(chosen, name)
		}
	}
	switch {
	case len(chosen) > 1:
		return shell{}, usageError("leave all but one out", "--sh, --csh and --fish are different shells")
	case len(chosen) == 1:
		return shells[chosen[0]], nil
	}
	switch filepath.Base(path) {
	case "csh", "tcsh":
		return shells["csh"], nil
	case "fish":
		return shells["fish"], nil
	}
	return shells["sh"], nil
}

func (s shell) assign(name, value string) string {
	return fmt.Sprintf(s.set, name, "'"+s.escapes.Replace(value)+"'")
}

func (s shell) remove(name string) string { return fmt.Sprintf(s.unset, name) }

func (c *cli) envCommand() *cobra.Command {
	var unset bool
	named := map[string]*bool{}
	cmd := &cobra.Command{
		Use: "env", Short: "print the line that tells a shell the agent's socket", Long: usageEnv, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sh, err := chosenShell(named, c.vars.Get("SHELL"))
			if err != nil {
				return err
			}
			if unset {
				_, err := fmt.Fprint(c.io.out, sh.remove("KYC_AGENT_SOCK"))
				return err
			}
			return c.printEnv(cmd.Context(), sh)
		},
	}
	for name := range shells {
		named[name] = cmd.Flags().Bool(name, false, "")
	}
	cmd.Flags().BoolVar(&unset, "unset", false, "")
	cmd.AddCommand(c.listCommand(usageEnvList))
	return cmd
}

// printEnv prints the line even if no agent answers: a shell's start-up file runs once, and
// the agent may start later.
func (c *cli) printEnv(ctx context.Context, sh shell) error {
	path, err := filepath.Abs(c.socketPath())
	if err != nil {
		return err
	}
	if strings.ContainsFunc(path, unicode.IsControl) { // each shell quotes a line break in another way
		return usageError("choose another with --socket or KYC_AGENT_SOCK", "the socket's path has a control character in it")
	}
	if _, err := fmt.Fprint(c.io.out, sh.assign("KYC_AGENT_SOCK", path)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, envTimeout)
	defer cancel()
	if _, err := c.client().Status(ctx); err != nil {
		c.io.say("warning: %v", c.caller().Explain(err))
	}
	return nil
}
