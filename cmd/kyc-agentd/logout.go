package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

// logoutOptions is one run of `logout`.
type logoutOptions struct {
	interaction
	local, allDevices, yes bool
}

func (c *cli) logoutCommand() *cobra.Command {
	s := &logoutOptions{interaction: interaction{cli: c}}
	cmd := &cobra.Command{
		Use: "logout", Long: usageLogout, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case s.local && s.allDevices:
				return usageError("leave one out", "--local and --all-devices are opposites")
			case s.yes && !s.allDevices:
				return usageError("leave it out", "--yes goes with --all-devices: nothing else asks first")
			}
			return s.withEnvironment(cmd, args, s.run)
		},
	}
	cmd.Flags().BoolVar(&s.local, "local", false, "")
	cmd.Flags().BoolVar(&s.allDevices, "all-devices", false, "")
	cmd.Flags().BoolVar(&s.yes, "yes", false, "")
	return cmd
}

func (s *logoutOptions) run(ctx context.Context) error {
	req := agent.LogoutRequest{Environment: s.env.Name}
	done := "%s: signed out"
	switch {
	case s.local:
		req.Scope, done = agent.LogoutLocal, "%s: signed out here; Cognito was not asked"
	case s.allDevices:
		req.Scope, done = agent.LogoutAllDevices, "%s: signed out on all devices"
		if err := s.confirmAllDevices(ctx); err != nil {
			return err
		}
	}
	if err := s.service.Logout(ctx, req); err != nil {
		return err
	}
	s.say(done, s.env.Name)
	if s.env.Unattended {
		s.say("%s: the agent signs in by itself again after: kyc-agentd reload (or a login, or a restart)", s.env.Name)
	}
	return nil
}

// confirmAllDevices has the person agree to what they would notice on other machines.
func (s *logoutOptions) confirmAllDevices(ctx context.Context) error {
	switch {
	case s.env.APIKey:
		return usageError("run: kyc-agentd logout "+s.env.Name, "%s: an API key is not signed in on any device", s.env.Name)
	case s.env.State == agent.StateAbsent:
		return &agent.Error{
			Code: agent.CodeLoginRequired, Op: "logout", Environment: s.env.Name,
			Message: "not signed in, and Cognito ends all sign-ins of a user only for that user", Hint: "run: kyc-agentd login " + s.env.Name,
		}
	case s.yes:
		return nil
	case s.terminal == nil:
		return usageError("add --yes", "no terminal to ask whether all sign-ins of %s should end", cmp.Or(s.env.User, "the user"))
	}
	ok, err := s.askYesNo(ctx, "End all sign-ins of "+cmp.Or(s.env.User, "the user")+" at "+s.env.Name+", on every machine?")
	if err == nil && !ok {
		err = &agent.Error{Code: agent.CodeUnavailable, Op: "logout", Message: "cancelled; nothing was ended"}
	}
	return err
}
