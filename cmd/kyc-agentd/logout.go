package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
)

// signOut is one run of `logout`.
type signOut struct {
	dialog
	local, allDevices, yes bool
}

func (c *cli) logout() *cobra.Command {
	s := &signOut{dialog: dialog{cli: c}}
	cmd := &cobra.Command{
		Use: "logout", Long: usageLogout, Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case s.local && s.allDevices:
				return usageError("leave one out", "--local and --all-devices are opposites")
			case s.yes && !s.allDevices:
				return usageError("leave it out", "--yes goes with --all-devices: nothing else asks first")
			}
			return s.hold(cmd, args, s.do)
		},
	}
	cmd.Flags().BoolVar(&s.local, "local", false, "")
	cmd.Flags().BoolVar(&s.allDevices, "all-devices", false, "")
	cmd.Flags().BoolVar(&s.yes, "yes", false, "")
	return cmd
}

func (s *signOut) do(ctx context.Context) error {
	req := agent.LogoutRequest{Environment: s.known.Name}
	done := "%s: signed out"
	switch {
	case s.local:
		req.Scope, done = agent.LogoutLocal, "%s: signed out here; Cognito was not asked"
	case s.allDevices:
		req.Scope, done = agent.LogoutAllDevices, "%s: signed out on all devices"
		if err := s.mayEndAll(ctx); err != nil {
			return err
		}
	}
	if err := s.service.Logout(ctx, req); err != nil {
		return err
	}
	s.say(done, s.known.Name)
	if s.known.Unattended {
		s.say("%s: the agent signs in by itself again after: kyc-agentd reload (or a login, or a restart)", s.known.Name)
	}
	return nil
}

// mayEndAll has the person agree to what they would notice on other machines.
func (s *signOut) mayEndAll(ctx context.Context) error {
	switch {
	case s.known.APIKey:
		return usageError("run: kyc-agentd logout "+s.known.Name, "%s: an API key is not signed in on any device", s.known.Name)
	case s.known.State == agent.StateAbsent:
		return &agent.Error{
			Code: agent.CodeLoginRequired, Op: "logout", Environment: s.known.Name,
			Message: "not signed in, and Cognito ends all sign-ins of a user only for that user", Hint: "run: kyc-agentd login " + s.known.Name,
		}
	case s.yes:
		return nil
	case s.terminal == nil:
		return usageError("add --yes", "no terminal to ask whether all sign-ins of %s should end", cmp.Or(s.known.User, "the user"))
	}
	ok, err := s.confirmed(ctx, "End all sign-ins of "+cmp.Or(s.known.User, "the user")+" at "+s.known.Name+", on every machine?")
	if err == nil && !ok {
		err = &agent.Error{Code: agent.CodeUnavailable, Op: "logout", Message: "cancelled; nothing was ended"}
	}
	return err
}
