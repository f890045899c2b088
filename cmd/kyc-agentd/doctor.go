package main

import (
	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/doctor"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

// doctorOptions are the options of `doctor`.
type doctorOptions struct {
	configFile    string
	json, offline bool
	fixes, yes    bool
}

func (c *cli) doctorCommand() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use: "doctor", SuggestFor: []string{"diagnose", "check", "debug"},
		Short: "find what is wrong, and say how to fix it", Long: usageDoctor, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			env, err := c.environment(args)
			if err != nil {
				return err
			}
			if o.yes && !o.fixes {
				return usageError("leave it out", "--yes goes with --fix: nothing else asks first")
			}
			look := func() doctor.Report {
				return doctor.Run(cmd.Context(), doctor.Options{
					ConfigFile: o.configFile, Environment: env, Offline: o.offline,
					Vars: c.vars, Socket: c.socketPath(), Version: programVersion(),
					KeyringCommand: keyring.SelfCommand(keyringVerb), NoAgent: noAgent,
				})
			}
			report := look()
			if o.fixes {
				ran, err := o.fix(cmd.Context(), c, report)
				if err != nil {
					return err
				}
				if ran > 0 {
					report = look()
				}
			}
			if cmd.Context().Err() != nil {
				return terminal.ErrCancelled
			}
			return c.writeReport(report, o.json)
		},
	}
	cmd.Flags().StringVar(&o.configFile, "config", "", "")
	addJSONFlag(cmd, &o.json)
	cmd.Flags().BoolVar(&o.offline, "offline", false, "")
	cmd.Flags().BoolVar(&o.fixes, "fix", false, "")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "")
	return c.takesEnvironment(cmd)
}

// writeReport writes r and makes its worst finding the exit code.
func (c *cli) writeReport(r doctor.Report, asJSON bool) error {
	var err error
	if asJSON {
		err = r.WriteJSON(c.io.shown())
	} else {
		err = r.WriteText(c.io.out, isTerminal(c.io.out) && !c.vars.NoColor(), terminal.Columns(c.io.out))
	}
	if err != nil {
		return err
	}
	switch r.Worst() {
	case doctor.SeverityProblem:
		return exitStatus(exitProblems)
	case doctor.SeverityWarning:
		return exitStatus(exitWarnings)
	}
	return nil
}
