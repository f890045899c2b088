package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
)

// loginOptions is one run of `login`.
type loginOptions struct {
	interaction
	passwordStdin bool
	apiKeyStdin   bool
}

func (c *cli) loginCommand() *cobra.Command {
	s := &loginOptions{interaction: interaction{cli: c}}
	cmd := &cobra.Command{
		Use: "login", Long: usageLogin, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.checkFlags(cmd); err != nil {
				return err
			}
			return s.withEnvironment(cmd, args, s.run)
		},
	}
	cmd.Flags().StringVarP(&s.user, "user", "u", "", "")
	cmd.Flags().BoolVar(&s.passwordStdin, "password-stdin", false, "")
	cmd.Flags().BoolVar(&s.apiKeyStdin, "api-key-stdin", false, "")
	addSecretFlags(cmd)
	return cmd
}

// addSecretFlags adds flags that are there only to be refused, by secretFlagUsed.
func addSecretFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("password", "p", "", "")
	cmd.Flags().String("api-key", "", "")
	_ = cmd.Flags().MarkHidden("password")
	_ = cmd.Flags().MarkHidden("api-key")
}

// rejectSecretFlags says what to use in the place of a secret on the command line; ask is
// what a person can do besides.
func rejectSecretFlags(cmd *cobra.Command, ask string) error {
	switch {
	case cmd.Flags().Changed("password"):
		return usageError("use --password-stdin"+ask, "there is no --password: every process can read a command line")
	case cmd.Flags().Changed("api-key"):
		return usageError("use --api-key-stdin", "there is no --api-key: every process can read a command line")
	}
	return nil
}

func (s *loginOptions) checkFlags(cmd *cobra.Command) error {
	if err := rejectSecretFlags(cmd, ", or leave it out to be asked"); err != nil {
		return err
	}
	if s.apiKeyStdin && (s.passwordStdin || s.user != "") {
		return usageError("leave out --user and --password-stdin", "an API key takes the place of user and password")
	}
	return nil
}

func (s *loginOptions) run(ctx context.Context) (err error) {
	req := agent.LoginRequest{Environment: s.env.Name}
	if s.apiKeyStdin {
		req.APIKey, err = s.readAPIKey(ctx, "run: kyc-agentd login --api-key-stdin "+s.env.Name+" < FILE")
	} else {
		req.Username, req.Password, err = s.credentials(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.service.Login(ctx, req, s.answerChallenge); err != nil {
		return err
	}
	return s.report(ctx)
}

func (s *loginOptions) credentials(ctx context.Context) (user string, password agent.Secret, err error) {
	if s.passwordStdin {
		if s.user == "" {
			return "", agent.Secret{}, usageError("add -u USER", "--password-stdin needs the user's name")
		}
		password, err = s.readSecret(ctx, "password", "leave --password-stdin out to be asked")
		return s.user, password, err
	}
	if s.terminal == nil {
		return "", agent.Secret{}, usageError("run: kyc-agentd login -u USER --password-stdin "+s.env.Name+" < FILE",
			"no terminal to ask for the password")
	}
	if user, err = s.askUser(ctx); err != nil {
		return "", agent.Secret{}, err
	}
	// Without one the agent may have another way: a code, where the pool offers a choice.
	password, err = s.askPassword(ctx, "Password", user)
	return user, password, err
}

// readAPIKey reads one from standard input; hint is for a person who would type it there.
func (c *cli) readAPIKey(ctx context.Context, hint string) (agent.Secret, error) {
	key, err := c.readSecret(ctx, "API key", hint)
	if err == nil && !strings.HasPrefix(key.Reveal(), "sk_") {
		return agent.Secret{}, usageError("", "what is on standard input is no API key: they begin with sk_")
	}
	return key, err
}

// readSecret reads one line of standard input, without its end. hint is what to do
// where that is a terminal.
func (c *cli) readSecret(ctx context.Context, what, hint string) (agent.Secret, error) {
	if f, ok := c.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return agent.Secret{}, usageError(hint, "standard input is a terminal and would show the %s", what)
	}
	data, err := firstLine(ctx, io.LimitReader(c.in, config.MaxLine+3))
	if err == terminal.ErrCancelled {
		return agent.Secret{}, err
	}
	if err != nil {
		return agent.Secret{}, usageError("", "cannot read the %s from standard input: %s", what, config.PlainCause(err))
	}
	line, err := terminal.CheckLine(strings.TrimRight(data, "\r\n"))
	if err != nil {
		return agent.Secret{}, usageError("", "standard input: %s", err)
	}
	if line == "" {
		return agent.Secret{}, usageError("", "the %s on standard input is empty", what)
	}
	return agent.NewSecret(line), nil
}

// firstLine reads to the end of a line or of r, and not on: whoever writes may leave the
// pipe open. After ctx ended the read waits on in another goroutine, as that of a
// terminal does.
func firstLine(ctx context.Context, r io.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadString('\n')
		if err == io.EOF {
			err = nil
		}
		read <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", terminal.ErrCancelled
	case got := <-read:
		return got.line, got.err
	}
}

// report says who is signed in now and where that is kept.
func (s *loginOptions) report(ctx context.Context) error {
	st, err := s.service.Status(ctx)
	if err != nil {
		return errors.Join(errors.New("signed in, but"), err)
	}
	env, err := findEnvironment(st, s.env.Name)
	if err != nil {
		return err
	}
	if env.APIKey {
		s.say("%s: API key kept %s", env.Name, statustext.Store(st.Store))
	} else {
		s.say("%s: signed in as %s, kept %s", env.Name, env.User, statustext.Store(st.Store))
	}
	if env.State == agent.StateUnsaved {
		s.say("%s: warning: the sign-in could not be saved and ends with the daemon: %s", env.Name, statustext.LastError(env))
	}
	if st.Store.Advice != "" {
		s.say("%s", st.Store.Advice)
	}
	return nil
}
