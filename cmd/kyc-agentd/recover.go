package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// passwordCommand is `password reset` and `password change`.
func (c *cli) passwordCommand() *cobra.Command {
	d := &interaction{cli: c}
	cmd := &cobra.Command{Use: "password", Long: usagePassword, Args: resetOrChange, RunE: c.needsCommand}
	cmd.PersistentFlags().StringVarP(&d.user, "user", "u", "", "")
	cmd.AddCommand(
		&cobra.Command{Use: "reset", Long: usagePassword, Args: atMostOneArg, RunE: func(cmd *cobra.Command, args []string) error {
			return d.withEnvironment(cmd, args, d.resetPassword)
		}},
		&cobra.Command{Use: "change", Long: usagePassword, Args: atMostOneArg, RunE: func(cmd *cobra.Command, args []string) error {
			return d.withEnvironment(cmd, args, d.changePassword)
		}},
	)
	return cmd
}

// resetOrChange does not show what was typed: it may be a password.
func resetOrChange(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("run: kyc-agentd password --help", "password is followed by reset or change")
	}
	return nil
}

func (d *interaction) resetPassword(ctx context.Context) error {
	if err := d.recoverAccount(ctx, agent.RecoverRequest{Action: agent.RecoverReset}); err != nil {
		return err
	}
	d.say("%s: password set; next, run: kyc-agentd login %[1]s", d.env.Name)
	return nil
}

// changePassword asks for both passwords at the terminal only: with the present one
// on standard input there would still be nobody to type the new one.
func (d *interaction) changePassword(ctx context.Context) (err error) {
	if err := d.needTerminal("password change"); err != nil {
		return err
	}
	if d.user, err = d.askUser(ctx); err != nil {
		return err
	}
	present, err := d.askPassword(ctx, "Present password", d.user)
	if err == nil && present.IsZero() {
		err = usageError("", "the password is empty")
	}
	if err != nil {
		return err
	}
	if err := d.recoverAccount(ctx, agent.RecoverRequest{Action: agent.RecoverChange, Password: present}); err != nil {
		return err
	}
	d.say("%s: password changed", d.env.Name)
	return nil
}

// confirmCommand is the verb for a new account.
func (c *cli) confirmCommand() *cobra.Command {
	d := &interaction{cli: c}
	var resend bool
	cmd := &cobra.Command{
		Use: "confirm", Long: usageConfirm, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.withEnvironment(cmd, args, func(ctx context.Context) error { return d.confirmAccount(ctx, resend) })
		},
	}
	cmd.Flags().StringVarP(&d.user, "user", "u", "", "")
	cmd.Flags().BoolVar(&resend, "resend", false, "")
	return cmd
}

// confirmAccount asks for the code that was sent. To have it sent again nobody has to
// be at a terminal.
func (d *interaction) confirmAccount(ctx context.Context, resend bool) (err error) {
	if resend {
		if d.user == "" && d.terminal == nil {
			return usageError("add -u USER", "--resend needs the user's name")
		}
		if err := d.recoverAccount(ctx, agent.RecoverRequest{Action: agent.RecoverResend}); err != nil {
			return err
		}
		d.say("%s: the code was sent again", d.env.Name)
		if d.terminal == nil {
			d.say("next, run at a terminal: kyc-agentd confirm %s -u %s", d.env.Name, shellquote.Quote(d.user))
			return nil
		}
	}
	if err := d.recoverAccount(ctx, agent.RecoverRequest{Action: agent.RecoverConfirm}); err != nil {
		return err
	}
	d.say("%s: account confirmed; next, run: kyc-agentd login %[1]s", d.env.Name)
	return nil
}

// recoverAccount has the agent do req for the user, who is asked for where they are not known.
func (d *interaction) recoverAccount(ctx context.Context, req agent.RecoverRequest) (err error) {
	if req.Action != agent.RecoverResend || d.user == "" {
		if err := d.needTerminal(recoveryVerbs[req.Action]); err != nil {
			return err
		}
	}
	if d.user, err = d.askUser(ctx); err != nil {
		return err
	}
	req.Environment, req.Username = d.env.Name, d.user
	return d.service.Recover(ctx, req, d.answerChallenge)
}

var recoveryVerbs = map[agent.RecoverAction]string{
	agent.RecoverReset: "password reset", agent.RecoverChange: "password change",
	agent.RecoverConfirm: "confirm", agent.RecoverResend: "confirm",
}

func (d *interaction) needTerminal(verb string) error {
	if d.terminal != nil {
		return nil
	}
	return usageError("run it at one: kyc-agentd "+verb+" "+d.env.Name, "no terminal to ask at")
}
