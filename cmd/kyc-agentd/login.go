package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/legaltalent/kyc-agent/agent"
)

// signIn is one run of `login`.
type signIn struct {
	*cli
	service       agent.Service
	user          string // -u
	passwordStdin bool
	terminal      *terminal // nil where there is none
}

func (c *cli) login() *cobra.Command {
	s := &signIn{cli: c}
	cmd := &cobra.Command{
		Use: "login", Long: usageLogin, Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("password") {
				return usageError("use --password-stdin, or leave it out to be asked",
					"there is no --password: every process can read a command line")
			}
			// At a prompt these would end the process with the echo off.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP, syscall.SIGQUIT)
			defer stop()
			s.service = c.client()
			return s.do(ctx, c.environment(args))
		},
	}
	cmd.Flags().StringVarP(&s.user, "user", "u", "", "")
	cmd.Flags().BoolVar(&s.passwordStdin, "password-stdin", false, "")
	cmd.Flags().StringP("password", "p", "", "") // only to be refused
	_ = cmd.Flags().MarkHidden("password")
	return cmd
}

func (s *signIn) do(ctx context.Context, environment string) error {
	before, err := s.service.Status(ctx)
	if err != nil {
		return err
	}
	environment = cmp.Or(environment, before.DefaultEnvironment)
	known, err := findEnvironment(before, environment)
	if err != nil {
		return err
	}
	if s.terminal, err = s.tty(); err == nil {
		defer s.terminal.Close()
	}
	req := agent.LoginRequest{Environment: environment}
	if req.Username, req.Password, err = s.credentials(ctx, known); err != nil {
		return err
	}
	if err := s.service.Login(ctx, req, s.answer); err != nil {
		return err
	}
	return s.report(ctx, environment)
}

// findEnvironment finds environment before anybody has typed a password for it.
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

func (s *signIn) credentials(ctx context.Context, known agent.EnvironmentStatus) (user string, password agent.Secret, err error) {
	if s.passwordStdin {
		if s.user == "" {
			return "", agent.Secret{}, usageError("add -u USER", "--password-stdin needs the user's name")
		}
		password, err = s.readPassword()
		return s.user, password, err
	}
	if s.terminal == nil {
		return "", agent.Secret{}, usageError("run: kyc-agentd login -u USER --password-stdin "+known.Name+" < FILE",
			"no terminal to ask for the password")
	}
	if user, err = s.askUser(ctx, known.User); err != nil {
		return "", agent.Secret{}, err
	}
	typed, err := s.terminal.ask(ctx, "Password for "+user+" ("+known.Name+")", true)
	if err == nil && typed == "" {
		err = usageError("", "the password is empty")
	}
	return user, agent.NewSecret(typed), err
}

// askUser offers the last user, whom an empty answer takes.
func (s *signIn) askUser(ctx context.Context, last string) (string, error) {
	if s.user != "" {
		return s.user, nil
	}
	label := "User"
	if last != "" {
		label += " [" + last + "]"
	}
	typed, err := s.terminal.ask(ctx, label, false)
	if err != nil {
		return "", err
	}
	user := cmp.Or(strings.TrimSpace(typed), last)
	if user == "" {
		return "", usageError("", "the user's name is empty")
	}
	return user, nil
}

// readPassword reads one line of standard input, without its end.
func (s *signIn) readPassword() (agent.Secret, error) {
	if f, ok := s.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return agent.Secret{}, usageError("leave --password-stdin out to be asked",
			"standard input is a terminal and would show the password")
	}
	data, err := io.ReadAll(io.LimitReader(s.in, maxLine+3))
	if err != nil {
		return agent.Secret{}, usageError("", "cannot read the password from standard input: %s", plainCause(err))
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line, err = checkLine(strings.TrimSuffix(line, "\r"))
	if err != nil {
		return agent.Secret{}, usageError("", "standard input: %s", err)
	}
	if line == "" {
		return agent.Secret{}, usageError("", "the password on standard input is empty")
	}
	return agent.NewSecret(line), nil
}

// answer puts a challenge to the person. It is an [agent.Asker].
func (s *signIn) answer(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
	if s.terminal == nil {
		return nil, usageError("run it at a terminal", "Cognito asks %s, and there is no terminal", strconv.Quote(c.Prompt))
	}
	if c.Problem != "" {
		s.terminal.printf("%s", c.Problem)
	}
	if !slices.ContainsFunc(c.Inputs, func(in agent.Input) bool { return in.Label == c.Prompt }) {
		s.terminal.printf("%s", c.Prompt)
	}
	answers := agent.Answers{}
	for _, in := range c.Inputs {
		typed, err := s.terminal.ask(ctx, cmp.Or(in.Label, in.Name), in.Secret)
		if err != nil {
			return nil, err
		}
		answers[in.Name] = agent.NewSecret(typed)
	}
	return answers, nil
}

// report says who is signed in now and where that is kept.
func (s *signIn) report(ctx context.Context, environment string) error {
	st, err := s.service.Status(ctx)
	if err != nil {
		return errors.Join(errors.New("signed in, but"), err)
	}
	env, err := findEnvironment(st, environment)
	if err != nil {
		return err
	}
	s.say("%s: signed in as %s, kept %s", environment, env.User, where(st.Store))
	if env.State == agent.StateUnsaved {
		s.say("%s: warning: the sign-in could not be saved and ends with the daemon: %s", environment, lastError(env))
	}
	if st.Store.Advice != "" {
		s.say("%s", st.Store.Advice)
	}
	return nil
}
