package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// password is `password reset` and `password change`.
func (c *cli) password() *cobra.Command {
	d := &dialog{cli: c}
	cmd := &cobra.Command{Use: "password", Long: usagePassword, Args: resetOrChange, RunE: c.noAction}
	cmd.PersistentFlags().StringVarP(&d.user, "user", "u", "", "")
	cmd.AddCommand(
		&cobra.Command{Use: "reset", Long: usagePassword, Args: one, RunE: func(cmd *cobra.Command, args []string) error {
			return d.hold(cmd, args, d.resetPassword)
		}},
		&cobra.Command{Use: "change", Long: usagePassword, Args: one, RunE: func(cmd *cobra.Command, args []string) error {
			return d.hold(cmd, args, d.changePassword)
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

func (d *dialog) resetPassword(ctx context.Context) error {
	if err := d.mend(ctx, agent.RecoverRequest{Action: agent.RecoverReset}); err != nil {
		return err
	}
	d.say("%s: password set; next, run: kyc-agentd login %[1]s", d.known.Name)
	return nil
}

// changePassword asks for both passwords at the terminal only: with the present one
// on standard input there would still be nobody to type the new one.
func (d *dialog) changePassword(ctx context.Context) (err error) {
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
	if err := d.mend(ctx, agent.RecoverRequest{Action: agent.RecoverChange, Password: present}); err != nil {
		return err
	}
	d.say("%s: password changed", d.known.Name)
	return nil
}

// confirm is the verb for a new account.
func (c *cli) confirm() *cobra.Command {
	d := &dialog{cli: c}
	var resend bool
	cmd := &cobra.Command{
		Use: "confirm", Long: usageConfirm, Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.hold(cmd, args, func(ctx context.Context) error { return d.confirmAccount(ctx, resend) })
		},
	}
	cmd.Flags().StringVarP(&d.user, "user", "u", "", "")
	cmd.Flags().BoolVar(&resend, "resend", false, "")
	return cmd
}

// confirmAccount asks for the code that was sent. To have it sent again nobody has to
// be at a terminal.
func (d *dialog) confirmAccount(ctx context.Context, resend bool) (err error) {
	if resend {
		if d.user == "" && d.terminal == nil {
			return usageError("add -u USER", "--resend needs the user's name")
		}
		if err := d.mend(ctx, agent.RecoverRequest{Action: agent.RecoverResend}); err != nil {
			return err
		}
		d.say("%s: the code was sent again", d.known.Name)
		if d.terminal == nil {
			d.say("next, run at a terminal: kyc-agentd confirm %s -u %s", d.known.Name, shellquote.Quote(d.user))
			return nil
		}
	}
	if err := d.mend(ctx, agent.RecoverRequest{Action: agent.RecoverConfirm}); err != nil {
		return err
	}
	d.say("%s: account confirmed; next, run: kyc-agentd login %[1]s", d.known.Name)
	return nil
}

// mend has the agent do req for the user, who is asked for where they are not known.
func (d *dialog) mend(ctx context.Context, req agent.RecoverRequest) (err error) {
	if req.Action != agent.RecoverResend || d.user == "" {
		if err := d.needTerminal(verbs[req.Action]); err != nil {
			return err
		}
	}
	if d.user, err = d.askUser(ctx); err != nil {
		return err
	}
	req.Environment, req.Username = d.known.Name, d.user
	return d.service.Recover(ctx, req, d.answer)
}

var verbs = map[agent.RecoverAction]string{
	agent.RecoverReset: "password reset", agent.RecoverChange: "password change",
	agent.RecoverConfirm: "confirm", agent.RecoverResend: "confirm",
}

func (d *dialog) needTerminal(verb string) error {
	if d.terminal != nil {
		return nil
	}
	return usageError("run it at one: kyc-agentd "+verb+" "+d.known.Name, "no terminal to ask at")
}
