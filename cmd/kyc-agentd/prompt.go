package main

import (
	"cmp"
	"context"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
)

// An interaction is one run of a verb that may have to ask a person.
type interaction struct {
	*cli
	service     agent.Service
	user        string                  // -u
	env         agent.EnvironmentStatus // where the verb is done, and who is signed in there
	terminal    *terminal.Terminal      // nil where there is none
	shownSecret string                  // the TOTP secret that is on the screen
}

// withEnvironment runs do with all that is known before a person is asked anything.
func (d *interaction) withEnvironment(cmd *cobra.Command, args []string, do func(ctx context.Context) error) error {
	// At a prompt these would end the process with the echo off.
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	d.service = d.client()
	before, err := d.service.Status(ctx)
	if err != nil {
		return err
	}
	name := cmp.Or(d.environment(args), before.DefaultEnvironment)
	if d.env, err = findEnvironment(before, name); err != nil {
		return err
	}
	if d.terminal, err = d.tty(); err == nil {
		defer d.terminal.Close()
	}
	return do(ctx)
}

// findEnvironment finds an environment before anybody has typed a password for it.
func findEnvironment(st agent.Status, name string) (agent.EnvironmentStatus, error) {
	names := make([]string, len(st.Environments))
	for i, e := range st.Environments {
		if e.Name == name {
			return e, nil
		}
		names[i] = e.Name
	}
	return agent.EnvironmentStatus{}, &agent.Error{
		Code: agent.CodeUnknownEnvironment, Op: "login",
		Message: "unknown environment " + strconv.Quote(name), Hint: "configured are: " + strings.Join(names, ", "),
	}
}

// askUser offers the last user, whom an empty answer takes.
func (d *interaction) askUser(ctx context.Context) (string, error) {
	if d.user != "" {
		return d.user, nil
	}
	label := "User"
	if d.env.User != "" {
		label += " [" + d.env.User + "]"
	}
	typed, err := d.terminal.Ask(ctx, label, false)
	if err != nil {
		return "", err
	}
	user := cmp.Or(strings.TrimSpace(typed), d.env.User)
	if user == "" {
		return "", usageError("", "the user's name is empty")
	}
	return user, nil
}

// askPassword asks for the password that user has now. It may be empty.
func (d *interaction) askPassword(ctx context.Context, what, user string) (agent.Secret, error) {
	typed, err := d.terminal.Ask(ctx, what+" for "+user+" ("+d.env.Name+")", true)
	return agent.NewSecret(typed), err
}

// askYesNo asks for a yes; anything but a yes or a no is asked again.
func (d *interaction) askYesNo(ctx context.Context, question string) (bool, error) {
	for {
		typed, err := d.terminal.Ask(ctx, question+" [yes/no]", false)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(typed)) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
}
