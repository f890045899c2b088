package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
)

// logoutOptions are the options of `logout`.
type logoutOptions struct {
	local, allDevices, all, yes, browser bool
}

func (c *cli) logoutCommand() *cobra.Command {
	var o logoutOptions
	cmd := &cobra.Command{
		Use: "logout", Aliases: []string{"signout", "sign-out"}, SuggestFor: []string{"disconnect"},
		Short: "end a sign-in", Long: usageLogout, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.local && o.allDevices:
				return usageError("leave one out", "--local and --all-devices are opposites")
			case o.all && o.allDevices:
				return usageError("leave one out", "--all is every environment here, --all-devices every machine of one environment")
			case o.all && o.browser:
				return usageError("leave one out", "--browser ends the browser's session of one environment, and --all is every environment")
			case o.all && (len(args) > 0 || c.env != ""):
				return usageError("leave one out", "--all is every environment, and one is named")
			case o.yes && !o.allDevices && !o.all:
				return usageError("leave it out", "--yes goes with --all and --all-devices: nothing else asks first")
			case o.all:
				return c.interact(cmd, o.runAll)
			}
			return c.withEnvironment(cmd, args, o.run)
		},
	}
	cmd.Flags().BoolVar(&o.local, "local", false, "")
	cmd.Flags().BoolVar(&o.allDevices, "all-devices", false, "")
	cmd.Flags().BoolVarP(&o.all, "all", "a", false, "")
	cmd.Flags().BoolVar(&o.browser, "browser", false, "")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "")
	return c.takesEnvironment(cmd)
}

func (o *logoutOptions) run(ctx context.Context, in *interaction) error {
	req := agent.LogoutRequest{Environment: in.env.Name}
	done := "%s: signed out"
	if o.browser && in.env.Browser == nil {
		return noBrowserSignIn(in.env.Name)
	}
	switch {
	case o.local:
		req.Scope, done = agent.LogoutLocal, "%s: signed out here; Cognito was not asked"
	case o.allDevices:
		req.Scope, done = agent.LogoutAllDevices, "%s: signed out on all devices"
		if err := o.confirmAllDevices(ctx, in); err != nil {
			return err
		}
	}
	err := in.waitFor(func(agent.Prompter) error { return in.service.Logout(ctx, req) })
	if err == nil {
		in.cli.io.say(done+"%s", in.env.Name, otherMachines(in.env))
		if in.env.Unattended {
			in.cli.io.say("%s: the agent signs in by itself again after: kyc-agentd reload (or a login, or a restart)", in.env.Name)
		}
	}
	if err == nil && o.browser {
		in.signOutBrowser(ctx)
	}
	return cmp.Or(err, warnOfTokensLeft(ctx, in))
}

// otherMachines says whom a logout signed out besides the user of this machine.
func otherMachines(env agent.EnvironmentStatus) string {
	if env.Fleet == nil {
		return ""
	}
	if len(env.Fleet.Members) == 0 {
		return ", on every machine that shares this sign-in"
	}
	return ", on every machine that shares this sign-in; seen: " + statustext.Members(env.Fleet)
}

// runAll ends the sign-ins of all environments that have one or may have one. It goes on
// after a failure, because one pool that cannot be reached must not keep the others signed in.
func (o *logoutOptions) runAll(ctx context.Context, in *interaction, before agent.Status) error {
	defer in.openTerminal()()
	signedIn := slices.DeleteFunc(before.Environments, func(e agent.EnvironmentStatus) bool { return e.State == agent.StateAbsent })
	if len(signedIn) == 0 {
		in.cli.io.say("nobody is signed in")
		return nil
	}
	if err := o.confirmAll(ctx, in, signedIn); err != nil {
		return err
	}
	var first error
	for _, env := range signedIn {
		one := *in
		one.env = env
		err := o.run(ctx, &one)
		if first != nil && err != nil {
			in.cli.io.say("%s", err) // run prints the first one
		}
		first = cmp.Or(first, err)
	}
	return first
}

// confirmAll asks before several sign-ins end.
func (o *logoutOptions) confirmAll(ctx context.Context, in *interaction, signedIn []agent.EnvironmentStatus) error {
	var names []string
	for _, env := range signedIn {
		names = append(names, env.Name)
	}
	list := strings.Join(names, ", ")
	switch {
	case o.yes:
		return nil
	case in.terminal == nil:
		return usageError("add --yes", "no terminal to ask whether the sign-ins of %s should end", list)
	}
	yes, err := in.askYesNo(ctx, "End the sign-ins of "+list+"?")
	if err == nil && !yes {
		err = errKept
	}
	return err
}

// errKept is the error of a logout that the person does not want after all.
var errKept error = &agent.Error{Code: agent.CodeUnavailable, Op: "logout", Message: "cancelled; no sign-in was ended"}

// warnOfTokensLeft names the token files that could not be removed. A script must not take
// that for a complete logout, so the exit code is 75: once they are removed, the same command
// ends with 0.
func warnOfTokensLeft(ctx context.Context, in *interaction) error {
	st, err := in.service.Status(ctx)
	if err != nil {
		return err
	}
	for _, s := range st.Sinks {
		if s.Environment != in.env.Name {
			continue
		}
		for _, left := range s.Left {
			in.cli.io.say("warning: %s", left)
			err = exitStatus(exitTemporary)
		}
	}
	return err
}

// confirmAllDevices asks before sign-ins end on other machines.
func (o *logoutOptions) confirmAllDevices(ctx context.Context, in *interaction) error {
	user := cmp.Or(in.env.User, "the user")
	switch {
	case in.env.APIKey:
		return usageError("run: kyc-agentd logout "+in.env.Name, "%s: an API key is not signed in on any device", in.env.Name)
	case in.env.State == agent.StateAbsent:
		return &agent.Error{
			Code: agent.CodeLoginRequired, Op: "logout", Environment: in.env.Name,
			Message: "not signed in, and only the signed-in user can make Cognito end all sign-ins", Hint: "run: kyc-agentd login " + in.env.Name,
		}
	case o.yes:
		return nil
	case in.terminal == nil:
		return usageError("add --yes", "no terminal to ask whether all sign-ins of %s should end", user)
	}
	yes, err := in.askYesNo(ctx, "End all sign-ins of "+user+" at "+in.env.Name+", on every machine?")
	if err == nil && !yes {
		err = errKept
	}
	return err
}
