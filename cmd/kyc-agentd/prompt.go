package main

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/suggest"
)

// An interaction is one run of a verb that may have to ask a person.
type interaction struct {
	cli         *cli
	service     agent.Service
	env         agent.EnvironmentStatus // of the environment that the command applies to
	terminal    *terminal.Terminal      // nil if there is none
	quiet       bool                    // ask only what cannot be done without
	limit       time.Duration           // how long a sign-in is to last; 0 means as long as Cognito says
	browser     *browserLogin           // nil except in a sign-in with a browser
	shownSecret string                  // the TOTP secret that is on the screen
}

// withEnvironment resolves the environment, opens the terminal and calls do.
func (c *cli) withEnvironment(cmd *cobra.Command, args []string, do func(context.Context, *interaction) error) error {
	name, err := c.environment(args)
	if err != nil {
		return err
	}
	return c.interact(cmd, func(ctx context.Context, in *interaction, before agent.Status) (err error) {
		if in.env, err = findEnvironment(before, cmp.Or(name, before.DefaultEnvironment)); err != nil {
			return err
		}
		if cmd.Name() != "logout" { // whose --local is for a passphrase that is lost
			if err := refuseLocked(before); err != nil {
				return err
			}
		}
		defer in.openTerminal()()
		return do(ctx, in)
	})
}

// interact calls do with the status of the agent.
func (c *cli) interact(cmd *cobra.Command, do func(context.Context, *interaction, agent.Status) error) error {
	// At a prompt these signals would end the process while the echo is off.
	ctx, stop := untilSignal(cmd.Context(), syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	in := &interaction{cli: c, service: c.client()}
	before, err := in.service.Status(ctx)
	if err != nil {
		return err
	}
	return interrupted(ctx, do(ctx, in, before))
}

// openTerminal opens the terminal, if there is one, and returns what closes it.
func (in *interaction) openTerminal() func() {
	t, err := in.cli.io.tty()
	if err != nil {
		return func() {}
	}
	in.terminal = t
	return func() { t.Close() }
}

// findEnvironment fails before a person has typed a password for an unknown environment.
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
		Message: "unknown environment " + strconv.Quote(name), Hint: suggest.Environments(name, names),
	}
}

// askUser asks for the user. An empty answer means the last one.
func (in *interaction) askUser(ctx context.Context) (string, error) {
	question := "Which user?"
	if in.env.User != "" {
		question += " [" + in.env.User + "]"
	}
	typed, err := in.terminal.Ask(ctx, question, false)
	if err != nil {
		return "", err
	}
	var user config.TypedUsername
	if err := user.Set(typed); err != nil {
		return "", usageError("", "%v", err)
	}
	if user.String() == "" && in.env.User == "" {
		return "", usageError("", "the user's name is empty")
	}
	return cmp.Or(user.String(), in.env.User), nil
}

// askPassword asks for the user's current password, which may be empty.
func (in *interaction) askPassword(ctx context.Context, what, user string) (agent.Secret, error) {
	typed, err := in.terminal.Ask(ctx, what+" for "+user+" at "+in.env.Name+"?", true)
	return agent.NewSecret(typed), err
}

// passwordTries is how often a person may type a password, as with sudo(8) and ssh(1). Cognito
// locks an account after five wrong ones, and the agent slows down after three.
const passwordTries = 3

// tryPasswords asks for a password and calls do with it, again if it was wrong.
func (in *interaction) tryPasswords(ctx context.Context, what, user string, do func(agent.Secret) error) error {
	for try := 1; ; try++ {
		password, err := in.askPassword(ctx, what, user)
		if err == nil {
			err = do(password)
		}
		wrong, ok := errors.AsType[*agent.Error](err)
		if !ok || !errors.Is(err, agent.ErrBadCredential) || try == passwordTries {
			return err
		}
		in.terminal.Printf("%s; please try again", wrong.Message)
	}
}

// askYesNo asks until the answer is yes or no.
func (in *interaction) askYesNo(ctx context.Context, question string) (bool, error) {
	for {
		typed, err := in.terminal.Ask(ctx, question+" [yes/no]", false)
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
