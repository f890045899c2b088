package main

import (
	"context"
	"errors"
	"strings"

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
}

func (c *cli) loginCommand() *cobra.Command {
	o := &loginOptions{cli: c}
	cmd := &cobra.Command{
		Use: "login", Long: usageLogin, Args: atMostOneArg,
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
	addSecretFlags(cmd)
	return cmd
}

func (o *loginOptions) checkFlags(cmd *cobra.Command) error {
	if err := rejectSecretFlags(cmd, ", or leave it out to be asked"); err != nil {
		return err
	}
	if o.apiKeyStdin && (o.passwordStdin || o.user.String() != "") {
		return usageError("leave out --user and --password-stdin", "an API key replaces user and password")
	}
	return nil
}

func (o *loginOptions) run(ctx context.Context, in *interaction) (err error) {
	req := agent.LoginRequest{Environment: in.env.Name}
	in.quiet = o.apiKeyStdin || o.passwordStdin // which a script uses
	if o.apiKeyStdin {
		req.APIKey, err = o.apiKey(ctx, in)
	} else {
		req.Username, req.Password, err = o.credentials(ctx, in)
	}
	if err != nil {
		return err
	}
	err = in.sayIfSlow(func(ask agent.Prompter) error { return in.service.Login(ctx, req, ask) })
	if err != nil {
		return err
	}
	return in.reportLogin(ctx)
}

// apiKey reads the key from standard input, and asks for it if that is the terminal, which
// would show what is typed.
func (o *loginOptions) apiKey(ctx context.Context, in *interaction) (agent.Secret, error) {
	if in.terminal == nil || !isTerminal(o.cli.io.in) {
		return o.cli.io.readAPIKey(ctx, "run: kyc-agentd login --api-key-stdin "+in.env.Name+" < FILE")
	}
	typed, err := in.terminal.Ask(ctx, "API key for "+in.env.Name, true)
	if err == nil && !strings.HasPrefix(typed, "sk_") {
		err = usageError("", "that is no API key: they begin with sk_")
	}
	return agent.NewSecret(typed), err
}

// credentials returns what the flags give, and asks for the rest.
func (o *loginOptions) credentials(ctx context.Context, in *interaction) (user string, password agent.Secret, err error) {
	user = o.user.String()
	if o.passwordStdin {
		if user == "" {
			return "", agent.Secret{}, usageError("add -u USER", "--password-stdin needs the user's name")
		}
		password, err = o.cli.io.readSecret(ctx, "password", "leave --password-stdin out to be asked")
		return user, password, err
	}
	if in.terminal == nil {
		return "", agent.Secret{}, usageError("run: kyc-agentd login -u USER --password-stdin "+in.env.Name+" < FILE",
			"no terminal to ask for the password")
	}
	if user == "" {
		if user, err = in.askUser(ctx); err != nil {
			return "", agent.Secret{}, err
		}
	}
	// An empty password is allowed: the pool may offer another way to sign in, such as a code.
	password, err = in.askPassword(ctx, "Password", user)
	return user, password, err
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
