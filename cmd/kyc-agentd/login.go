package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
)

// loginOptions are the options of `login`.
type loginOptions struct {
	cli           *cli
	user          config.TypedUsername
	passwordStdin bool
	apiKeyStdin   bool
	limit         waitTime
	browser       bool
}

func (c *cli) loginCommand() *cobra.Command {
	o := &loginOptions{cli: c}
	cmd := &cobra.Command{
		Use: "login", Aliases: []string{"signin", "sign-in"}, SuggestFor: []string{"authenticate", "connect"},
		Short: "sign in to an environment", Long: usageLogin, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.checkFlags(cmd); err != nil {
				return err
			}
			return c.withEnvironment(cmd, args, o.run)
		},
	}
	cmd.Flags().VarP(&o.user, "user", "u", "")
	cmd.Flags().BoolVar(&o.passwordStdin, "password-stdin", false, "")
	cmd.Flags().BoolVar(&o.apiKeyStdin, "api-key-stdin", false, "")
	cmd.Flags().Var(&o.limit, "for", "")
	_ = cmd.RegisterFlagCompletionFunc("for", completeValues())
	cmd.Flags().BoolVar(&o.browser, "browser", false, "")
	addSecretFlags(cmd)
	return c.takesEnvironment(cmd)
}

func (o *loginOptions) checkFlags(cmd *cobra.Command) error {
	if err := rejectSecretFlags(cmd, ", or leave it out to be asked"); err != nil {
		return err
	}
	if cmd.Flags().Changed("for") && time.Duration(o.limit) < time.Minute {
		return usageError("write it as 8h, or 30m", "--for takes a duration of a minute at least")
	}
	if o.apiKeyStdin && (o.passwordStdin || o.user.String() != "") {
		return usageError("leave out --user and --password-stdin", "an API key replaces user and password")
	}
	if o.browser && (o.passwordStdin || o.apiKeyStdin) {
		return usageError("leave one out", "--browser takes no password and no API key")
	}
	return nil
}

func (o *loginOptions) run(ctx context.Context, in *interaction) (err error) {
	in.limit = time.Duration(o.limit)
	in.quiet = o.apiKeyStdin || o.passwordStdin // which a script uses
	switch {
	case o.apiKeyStdin:
		err = o.withAPIKey(ctx, in)
	case o.passwordStdin:
		err = o.withPasswordOfStdin(ctx, in)
	case o.browser || in.env.Browser != nil && in.env.Browser.Default:
		err = in.signInWithBrowser(ctx, o.user.String())
	default:
		err = o.withTypedPassword(ctx, in)
	}
	if err != nil {
		return err
	}
	return in.reportLogin(ctx)
}

// signIn sends req to the agent, which may ask for more.
func (in *interaction) signIn(ctx context.Context, req agent.LoginRequest) error {
	req.Environment, req.For = in.env.Name, in.limit
	return in.waitFor(func(ask agent.Prompter) error { return in.service.Login(ctx, req, ask) })
}

func (o *loginOptions) withAPIKey(ctx context.Context, in *interaction) error {
	key, err := o.apiKey(ctx, in)
	if err != nil {
		return err
	}
	return in.signIn(ctx, agent.LoginRequest{APIKey: key})
}

// apiKey reads the key from standard input, and asks for it if that is the terminal, which
// would show what is typed.
func (o *loginOptions) apiKey(ctx context.Context, in *interaction) (agent.Secret, error) {
	if in.terminal == nil || !isTerminal(o.cli.io.in) {
		return o.cli.io.readAPIKey(ctx, "run: kyc-agentd login --api-key-stdin "+in.env.Name+" < FILE")
	}
	typed, err := in.terminal.Ask(ctx, "API key for "+in.env.Name+"?", true)
	if err == nil && !strings.HasPrefix(typed, "sk_") {
		err = usageError("", "that is no API key: they begin with sk_")
	}
	return agent.NewSecret(typed), err
}

func (o *loginOptions) withPasswordOfStdin(ctx context.Context, in *interaction) error {
	user := o.user.String()
	if user == "" {
		return usageError("add -u USER", "--password-stdin needs the user's name")
	}
	password, err := o.cli.io.readSecret(ctx, "password", "leave --password-stdin out to be asked")
	if err != nil {
		return err
	}
	return in.signIn(ctx, agent.LoginRequest{Username: user, Password: password})
}

// withTypedPassword asks for what the flags do not give. An empty password is allowed: the
// pool may offer another way to sign in, such as a code.
func (o *loginOptions) withTypedPassword(ctx context.Context, in *interaction) (err error) {
	if in.terminal == nil {
		return usageError("run: kyc-agentd login -u USER --password-stdin "+in.env.Name+" < FILE", "no terminal to ask for the password")
	}
	user := o.user.String()
	if user == "" {
		if user, err = in.askUser(ctx); err != nil {
			return err
		}
	}
	return in.tryPasswords(ctx, "Password", user, func(password agent.Secret) error {
		return in.signIn(ctx, agent.LoginRequest{Username: user, Password: password})
	})
}

// reportLogin says who is signed in now and where the sign-in is kept. At a terminal it first
// offers to keep one that would end with the agent.
func (in *interaction) reportLogin(ctx context.Context) error {
	st, err := in.service.Status(ctx)
	if err != nil {
		return errors.Join(errors.New("signed in, but"), err)
	}
	st, cancelled := in.offerKey(ctx, st)
	env, err := findEnvironment(st, in.env.Name)
	if err != nil {
		return err
	}
	io, signedIn := in.cli.io, "signed in as "+env.User+", kept "
	if env.APIKey {
		signedIn = "API key kept "
	}
	if keep := howToKeep(st); keep != "" {
		io.say("%s: %suntil the agent stops; %s", env.Name, signedIn, keep)
		return cancelled
	}
	io.say("%s: %s%s", env.Name, signedIn, statustext.Store(st.Store))
	if env.State == agent.StateUnsaved {
		io.say("%s: warning: the sign-in could not be saved and ends with the daemon: %s", env.Name, statustext.LastError(env))
	}
	if st.Store.Lasting && !strings.Contains(env.LastError, st.Store.Advice) {
		io.say("%s", st.Store.Advice)
	}
	return cancelled
}
