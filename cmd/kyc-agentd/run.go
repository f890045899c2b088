package main

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/daemon"
	"github.com/legaltalent/kyc-agent/ipc"
)

// runOptions are the options of `run`: an agent that lives as long as one command.
type runOptions struct {
	cli           *cli
	daemon        daemon.Options // --config and --log-level
	user          config.TypedUsername
	passwordFile  string
	passwordStdin bool
	apiKeyStdin   bool
	api           apiOnlyOptions
	environment   string // "" is the configuration's default
	command       []string
}

func (c *cli) runCommand() *cobra.Command {
	o := &runOptions{cli: c}
	cmd := &cobra.Command{
		Use: "run", Aliases: []string{"exec"}, Short: "run one command with a private agent", Long: usageRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parseArgs(cmd.ArgsLenAtDash(), args); err != nil {
				return err
			}
			if err := o.checkFlags(cmd); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().VarP(&o.user, "user", "u", "")
	cmd.Flags().StringVar(&o.passwordFile, "password-file", "", "")
	cmd.Flags().BoolVar(&o.passwordStdin, "password-stdin", false, "")
	cmd.Flags().BoolVar(&o.apiKeyStdin, "api-key-stdin", false, "")
	cmd.Flags().StringVar(&o.daemon.ConfigFile, "config", "", "")
	cmd.Flags().Var(&o.daemon.Level, "log-level", "")
	o.api.addFlags(cmd)
	addSecretFlags(cmd)
	return c.takesEnvironment(cmd)
}

// parseArgs reads at most one environment before the --, which is at args[dash], and the
// command after it.
func (o *runOptions) parseArgs(dash int, args []string) (err error) {
	const help = "run: kyc-agentd run --help"
	switch {
	case dash < 0:
		return usageError("write: kyc-agentd run [ENVIRONMENT] -- COMMAND", "there is no -- before the command")
	case dash > 1:
		return usageError(help, "run takes at most one argument before the --")
	case len(args) == dash:
		return usageError(help, "there is no command after the --")
	}
	o.command = args[dash:]
	o.environment, err = o.cli.environment(args[:dash])
	return err
}

// checkFlags checks that the flags name one way to sign in, or none.
func (o *runOptions) checkFlags(cmd *cobra.Command) error {
	if err := rejectSecretFlags(cmd, " or --password-file"); err != nil {
		return err
	}
	if err := o.api.check(); err != nil {
		return err
	}
	password := o.passwordFile != "" || o.passwordStdin
	switch {
	case o.apiKeyStdin && (o.user.String() != "" || password):
		return usageError("leave out the others", "an API key replaces user and password")
	case o.passwordFile != "" && o.passwordStdin:
		return usageError("leave one out", "--password-file and --password-stdin both give the password")
	case o.user.String() == "" && password:
		return usageError("add -u USER", "a password needs the user's name")
	case o.user.String() != "" && !password:
		return usageError("add --password-file FILE or --password-stdin", "there is nobody to ask for the password of %s", o.user)
	}
	return nil
}

// run runs the command while an agent answers.
func (o *runOptions) run(ctx context.Context) error {
	program, err := exec.LookPath(o.command[0])
	if err != nil {
		return o.cannotRun("", err)
	}
	// Until the command is started these signals end the run, and the folder is removed.
	relayed := slices.DeleteFunc(slices.Clone(relayedSignals), signal.Ignored) // nohup(1)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, relayed...)
	defer signal.Stop(signals)
	ctx, stop := untilSignal(ctx, relayed...)
	defer stop()

	if o.api.on && !o.signsIn() {
		return o.runWithAPI(ctx, program, o.cli.client(), signals)
	}
	dir, err := makeRuntimeDir(o.cli.vars)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "agent.sock")
	return daemon.ServeWhile(o.daemonOptions(socket), func(a *agent.Agent) error {
		if err := o.signIn(ctx, a); err != nil {
			return interrupted(ctx, hintForRun(err))
		}
		if o.api.on {
			return o.runWithAPI(ctx, program, &ipc.Client{Socket: socket, Version: programVersion()}, signals)
		}
		return o.runChild(ctx, program, o.childEnv(socket), signals)
	})
}

// signsIn reports whether the flags ask for an agent with a sign-in of its own. With --api-only
// the user's agent serves otherwise.
func (o *runOptions) signsIn() bool {
	return o.user.String() != "" || o.apiKeyStdin || o.daemon.ConfigFile != ""
}

// daemonOptions makes the agent keep nothing, and log only errors unless a flag says
// otherwise: standard error is the command's.
func (o *runOptions) daemonOptions(socket string) daemon.Options {
	d := o.cli.daemonOptions(o.daemon, socket)
	d.NoSinks = true
	_ = d.Store.Set("memory")
	if d.Level.String() == "" {
		_ = d.Level.Set("error")
	}
	return d
}

// maxRuntimeBase leaves room for /kyc-run-0123456789/agent.sock in the 103 bytes that the
// strictest system accepts as the path of a socket.
const maxRuntimeBase = 103 - len("/kyc-run-0123456789/agent.sock")

// makeRuntimeDir makes the private folder of the socket: in $XDG_RUNTIME_DIR if that is
// set and short enough, else among the temporary files.
func makeRuntimeDir(vars config.Environ) (string, error) {
	var failed error
	for _, base := range []string{vars.Get("XDG_RUNTIME_DIR"), vars.Get("TMPDIR"), "/tmp"} {
		if !filepath.IsAbs(base) || len(base) > maxRuntimeBase {
			continue
		}
		dir, err := os.MkdirTemp(base, "kyc-run-") // mode 0700
		if err == nil {
			return dir, nil
		}
		failed = err
	}
	return "", &agent.Error{
		Code: agent.CodeConfiguration, Op: "run", Message: "cannot make a folder for the socket: " + failed.Error(), Err: failed,
		Hint: "set TMPDIR to a folder that you can write to",
	}
}

// signIn signs in with what the command line names, else with what the configuration has.
func (o *runOptions) signIn(ctx context.Context, a *agent.Agent) error {
	req := agent.LoginRequest{Environment: o.environment, Username: o.user.String()}
	var err error
	switch {
	case o.apiKeyStdin:
		req.APIKey, err = o.cli.io.readAPIKey(ctx, "run: kyc-agentd run --api-key-stdin … < FILE")
	case o.passwordStdin:
		req.Password, err = o.cli.io.readSecret(ctx, "password", "run: kyc-agentd run --password-stdin … < FILE")
	case o.passwordFile != "":
		req.Password, err = config.ReadSecretFile(o.passwordFile)
		if err != nil {
			err = config.Errorf("--password-file: %v", err)
		}
	default:
		return signInUnattended(ctx, a, o.environment)
	}
	if err != nil {
		return err
	}
	return a.Login(ctx, req, refuseEveryChallenge)
}

// signInUnattended makes the agent sign in by itself, as it does when a token is needed.
func signInUnattended(ctx context.Context, a *agent.Agent, environment string) error {
	st, err := a.Status(ctx)
	if err != nil {
		return err
	}
	env, err := findEnvironment(st, cmp.Or(environment, st.DefaultEnvironment))
	if err != nil {
		return err
	}
	if !env.Unattended {
		return usageError("add -u USER --password-file FILE, -u USER --password-stdin or --api-key-stdin, "+
			"or set username and password_file in config.toml", "%s: nothing to sign in with", env.Name)
	}
	_, err = a.Token(ctx, agent.TokenRequest{Environment: env.Name})
	return err
}

// refuseEveryChallenge is the [agent.Prompter] of a sign-in without a person.
func refuseEveryChallenge(_ context.Context, c agent.Challenge) (agent.Answers, error) {
	return nil, &agent.Error{
		Code: agent.CodeLoginRequired, Op: "run", Environment: c.Environment,
		Message: "Cognito asks for " + c.Name + ", and there is nobody to answer",
		Hint:    "use an account that signs in with its password alone, or an API key",
	}
}
