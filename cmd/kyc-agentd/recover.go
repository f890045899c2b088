package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// passwordOptions are the options of `password reset` and `password change`.
type passwordOptions struct {
	user config.TypedUsername
}

func (c *cli) passwordCommand() *cobra.Command {
	var o passwordOptions
	cmd := &cobra.Command{Use: "password", Short: "reset or change a password", Long: usagePassword, Args: resetOrChange, RunE: c.needsCommand}
	cmd.PersistentFlags().VarP(&o.user, "user", "u", "")
	cmd.AddCommand(
		c.takesEnvironment(&cobra.Command{Use: "reset", Short: "set a new password with a code that Cognito sends", Long: usagePassword, Args: atMostOneArg, RunE: func(cmd *cobra.Command, args []string) error {
			return c.withEnvironment(cmd, args, o.reset)
		}}),
		c.takesEnvironment(&cobra.Command{Use: "change", Short: "replace the present password", Long: usagePassword, Args: atMostOneArg, RunE: func(cmd *cobra.Command, args []string) error {
			return c.withEnvironment(cmd, args, o.change)
		}}),
	)
	return cmd
}

// resetOrChange does not show what was typed: it may be a password.
func resetOrChange(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(didYouMean(suggestedCommand(cmd, args[0]), "run: kyc-agentd password --help"), "password is followed by reset or change")
	}
	return nil
}

func (o *passwordOptions) reset(ctx context.Context, in *interaction) error {
	if _, err := in.recoverAccount(ctx, o.user.String(), agent.RecoverRequest{Action: agent.RecoverReset}); err != nil {
		return err
	}
	in.cli.io.say("%s: password set; next, run: kyc-agentd login %[1]s", in.env.Name)
	return nil
}

// change asks for both passwords at the terminal only: if the current one came on standard
// input, there would still be nobody to type the new one.
func (o *passwordOptions) change(ctx context.Context, in *interaction) (err error) {
	if err := in.needTerminal("password change"); err != nil {
		return err
	}
	user := o.user.String()
	if user == "" {
		if user, err = in.askUser(ctx); err != nil {
			return err
		}
	}
	err = in.tryPasswords(ctx, "Current password", user, func(current agent.Secret) error {
		if current.IsZero() {
			return usageError("", "the password is empty")
		}
		_, err := in.recoverAccount(ctx, user, agent.RecoverRequest{Action: agent.RecoverChange, Password: current})
		return err
	})
	if err != nil {
		return err
	}
	in.cli.io.say("%s: password changed", in.env.Name)
	return nil
}

// confirmOptions are the options of `confirm`.
type confirmOptions struct {
	user   config.TypedUsername
	resend bool
}

func (c *cli) confirmCommand() *cobra.Command {
	var o confirmOptions
	cmd := &cobra.Command{
		Use: "confirm", Short: "confirm a new account with the code that was sent", Long: usageConfirm, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withEnvironment(cmd, args, o.run)
		},
	}
	cmd.Flags().VarP(&o.user, "user", "u", "")
	cmd.Flags().BoolVar(&o.resend, "resend", false, "")
	return c.takesEnvironment(cmd)
}

// run asks for the code that Cognito sent. Sending it again needs no terminal.
func (o *confirmOptions) run(ctx context.Context, in *interaction) (err error) {
	user := o.user.String()
	if o.resend {
		if user == "" && in.terminal == nil {
			return usageError("add -u USER", "--resend needs the user's name")
		}
		if user, err = in.recoverAccount(ctx, user, agent.RecoverRequest{Action: agent.RecoverResend}); err != nil {
			return err
		}
		in.cli.io.say("%s: the code was sent again", in.env.Name)
		if in.terminal == nil {
			in.cli.io.say("next, run at a terminal: kyc-agentd confirm %s -u %s", in.env.Name, shellquote.Quote(user))
			return nil
		}
	}
	if _, err := in.recoverAccount(ctx, user, agent.RecoverRequest{Action: agent.RecoverConfirm}); err != nil {
		return err
	}
	in.cli.io.say("%s: account confirmed; next, run: kyc-agentd login %[1]s", in.env.Name)
	return nil
}

// recoverAccount sends req to the agent for the user, and asks for the user if the name is
// empty. It returns the user's name.
func (in *interaction) recoverAccount(ctx context.Context, user string, req agent.RecoverRequest) (_ string, err error) {
	if req.Action != agent.RecoverResend || user == "" {
		if err := in.needTerminal(recoveryVerbs[req.Action]); err != nil {
			return "", err
		}
	}
	if user == "" {
		if user, err = in.askUser(ctx); err != nil {
			return "", err
		}
	}
	req.Environment, req.Username = in.env.Name, user
	return user, in.waitFor(func(ask agent.Prompter) error { return in.service.Recover(ctx, req, ask) })
}

var recoveryVerbs = map[agent.RecoverAction]string{
	agent.RecoverReset: "password reset", agent.RecoverChange: "password change",
	agent.RecoverConfirm: "confirm", agent.RecoverResend: "confirm",
}

func (in *interaction) needTerminal(verb string) error {
	if in.terminal != nil {
		return nil
	}
	return usageError("run it at one: kyc-agentd "+verb+" "+in.env.Name, "no terminal to ask at")
}
