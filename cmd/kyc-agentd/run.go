package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
)

const (
	revokeWithin    = 10 * time.Second
	defaultRunLevel = "error" // standard error is the command's
)

// A runOptions is one run of `run`: an agent for the life of one command.
type runOptions struct {
	*cli
	flags         serveFlags
	user          string
	passwordFile  string
	passwordStdin bool
	apiKeyStdin   bool
	environment   string // "" is the configuration's default
	command       []string
}

func (c *cli) runCommand() *cobra.Command {
	b := &runOptions{cli: c}
	cmd := &cobra.Command{
		Use: "run", Long: usageRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := b.parseArgs(cmd, args); err != nil {
				return err
			}
			return b.run(cmd.Context())
		},
	}
	cmd.Flags().StringVarP(&b.user, "user", "u", "", "")
	cmd.Flags().StringVar(&b.passwordFile, "password-file", "", "")
	cmd.Flags().BoolVar(&b.passwordStdin, "password-stdin", false, "")
	cmd.Flags().BoolVar(&b.apiKeyStdin, "api-key-stdin", false, "")
	cmd.Flags().StringVar(&b.flags.config, "config", "", "")
	cmd.Flags().Var(&b.flags.level, "log-level", "")
	addSecretFlags(cmd)
	return cmd
}

// parseArgs reads the command line: at most one environment before the --, the command
// behind it.
func (b *runOptions) parseArgs(cmd *cobra.Command, args []string) error {
	const help = "run: kyc-agentd run --help"
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash < 0:
		return usageError("write: kyc-agentd run [ENVIRONMENT] -- COMMAND", "there is no -- before the command")
	case dash > 1:
		return usageError(help, "run takes at most one argument before the --")
	case len(args) == dash:
		return usageError(help, "there is no command behind the --")
	}
	b.environment, b.command = b.cli.environment(args[:dash]), args[dash:]
	if err := rejectSecretFlags(cmd, " or --password-file"); err != nil {
		return err
	}
	switch {
	case b.apiKeyStdin && (b.user != "" || b.passwordFile != "" || b.passwordStdin):
		return usageError("leave out the others", "an API key takes the place of user and password")
	case b.passwordFile != "" && b.passwordStdin:
		return usageError("leave one out", "--password-file and --password-stdin are two places for one password")
	case b.user == "" && (b.passwordFile != "" || b.passwordStdin):
		return usageError("add -u USER", "a password needs the user's name")
	case b.user != "" && b.passwordFile == "" && !b.passwordStdin:
		return usageError("add --password-file FILE or --password-stdin", "there is nobody to ask for the password of %s", b.user)
	}
	return nil
}

// run runs the command with an agent beside it.
func (b *runOptions) run(ctx context.Context) error {
	program, err := exec.LookPath(b.command[0])
	if err != nil {
		return b.cannotRun(err)
	}
	// Before there is a command these end the run, and the folder goes with it.
	heeded := slices.DeleteFunc(slices.Clone(relayedSignals), signal.Ignored) // nohup(1)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, heeded...)
	defer signal.Stop(signals)
	ctx, stop := signal.NotifyContext(ctx, heeded...)
	defer stop()

	dir, err := b.makeRuntimeDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "agent.sock")
	notPrivate := undumpable()
	d := b.newDaemon(b.serveFlags(), socket)
	if err := d.configure(); err != nil {
		return err
	}
	if notPrivate != nil {
		d.log.Warn("this process is less private than it should be", "error", notPrivate)
	}
	return d.serveWhile(func() error {
		if err := b.signIn(ctx, d); err != nil {
			return err
		}
		return b.runChild(ctx, program, socket, signals)
	})
}

func (b *runOptions) serveFlags() serveFlags {
	f := b.flags
	f.noSinks = true
	_ = f.store.Set("memory")
	if f.level.String() == "" {
		_ = f.level.Set(defaultRunLevel)
	}
	return f
}

// cannotRun says why there is no command to run, with a shell's exit code.
func (b *runOptions) cannotRun(err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		b.say("no such command: %s", b.command[0])
		return exitStatus(exitNotFound)
	}
	b.say("cannot run %s: %s", b.command[0], config.PlainCause(errors.Unwrap(err)))
	return exitStatus(exitCannotRun)
}

// makeRuntimeDir makes the private folder of the socket: in $XDG_RUNTIME_DIR, where there is
// such a place and its path is short enough, else among the temporary files.
func (b *runOptions) makeRuntimeDir() (string, error) {
	var failed error
	for _, base := range []string{b.vars.Get("XDG_RUNTIME_DIR"), b.vars.Get("TMPDIR"), "/tmp"} {
		if !filepath.IsAbs(base) || len(base) > maxRunBase {
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
		Hint: "set TMPDIR to a folder that can be written",
	}
}

// maxRunBase leaves room for /kyc-run-0123456789/agent.sock in the 103 bytes that the
// strictest system takes for a socket's path.
const maxRunBase = 103 - len("/kyc-run-0123456789/agent.sock")

// serveWhile runs do while the agent answers on its socket, and ends every sign-in
// afterwards. It outlives the signals, which are the command's.
func (d *daemon) serveWhile(do func() error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ln, err := ipc.Listen(d.socket)
	if err != nil {
		return err
	}
	defer ln.Close()
	if err := d.makeAgent(ctx); err != nil {
		return err
	}
	defer closeStore(d.store)
	var serving sync.WaitGroup
	serving.Go(func() { _ = d.server().Serve(ctx, ln) })
	err = do()
	cancel()
	serving.Wait()
	d.revokeAll()
	d.close()
	return err
}

// revokeAll ends what the agent, which keeps nothing, has signed in to: the command may
// have signed in elsewhere too. It logs what could not be revoked.
func (d *daemon) revokeAll() {
	ctx, cancel := context.WithTimeout(context.Background(), revokeWithin)
	defer cancel()
	st, _ := d.agent.Status(ctx) // it answers from memory
	for _, e := range st.Environments {
		if e.State != agent.StateAbsent && e.State != agent.StateUnknown {
			_ = d.agent.Logout(ctx, agent.LogoutRequest{Environment: e.Name})
		}
	}
}

// signIn signs in with what the command line names, else with what the configuration has.
func (b *runOptions) signIn(ctx context.Context, d *daemon) error {
	req := agent.LoginRequest{Environment: b.environment, Username: b.user}
	var err error
	switch {
	case b.apiKeyStdin:
		req.APIKey, err = b.readAPIKey(ctx, "run: kyc-agentd run --api-key-stdin … < FILE")
	case b.passwordStdin:
		req.Password, err = b.readSecret(ctx, "password", "run: kyc-agentd run --password-stdin … < FILE")
	case b.passwordFile != "":
		req.Password, err = config.ReadSecretFile(b.passwordFile)
		if err != nil {
			err = config.Errorf("--password-file: %v", err)
		}
	default:
		return b.signInAsConfigured(ctx, d)
	}
	if err != nil {
		return err
	}
	return d.agent.Login(ctx, req, refuseEveryChallenge)
}

// signInAsConfigured has the agent sign in by itself, as it does when a token is needed.
func (b *runOptions) signInAsConfigured(ctx context.Context, d *daemon) error {
	st, err := d.agent.Status(ctx)
	if err != nil {
		return err
	}
	env, err := findEnvironment(st, cmp.Or(b.environment, st.DefaultEnvironment))
	if err != nil {
		return err
	}
	if !env.Unattended {
		return usageError("add -u USER --password-file FILE, -u USER --password-stdin or --api-key-stdin, or set username and password_file in config.toml",
			"%s: nothing to sign in with", env.Name)
	}
	_, err = d.agent.Token(ctx, agent.TokenRequest{Environment: env.Name})
	return err
}

// refuseEveryChallenge is the asker of a sign-in without a person.
func refuseEveryChallenge(_ context.Context, ch agent.Challenge) (agent.Answers, error) {
	return nil, &agent.Error{
		Code: agent.CodeLoginRequired, Op: "run", Environment: ch.Environment,
		Message: "Cognito asks for " + ch.Name + ", and nobody is there to answer",
		Hint:    "use an account that signs in with its password alone, or an API key",
	}
}
