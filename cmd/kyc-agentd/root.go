package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/caller"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/daemon"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/doctor"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// cli is one run of the program.
type cli struct {
	io     stdio
	vars   config.Environ
	socket string          // --socket
	env    environmentFlag // --env
	// harden is the process-wide part of serve. It cannot be taken back, so tests
	// that run in their own process leave it out.
	harden func() error
	// catchSignals has Ctrl-C and SIGTERM end the context of the verb, which begins; nil leaves
	// them alone.
	catchSignals func()
	// slowAfter is when a person is shown what takes long; 0 means 1 s.
	slowAfter time.Duration
	// watchEvery is how often `status --watch` asks; 0 means 1 s.
	watchEvery time.Duration
}

// run is the whole program: it runs one verb, prints its error, if there is one, and
// returns the exit code.
func run(args []string, io stdio, vars []string) int {
	ctx, catch, stop := untilCaught(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &cli{io: io, vars: vars, harden: daemon.Harden, catchSignals: catch}
	return c.run(ctx, args)
}

func (c *cli) run(ctx context.Context, args []string) int {
	c.io.ascii = !terminal.UTF8(c.vars.Get)
	root, out := c.rootFor(args), &checkedOutput{io: c.io, w: c.io.out}
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) { // and __completeNoDesc
		c.addCompletions(root)
	}
	root.SetOut(out)
	root.SetArgs(append([]string{}, args...)) // never nil: cobra takes os.Args for that
	err := interrupted(ctx, cmp.Or(root.ExecuteContext(ctx), out.err))
	if exit, ok := errors.AsType[exitStatus](err); ok {
		return int(exit)
	}
	if err != nil {
		if unanswered(err) {
			err = doctor.StartError(ctx, c.vars, c.socketPath(), err)
		}
		err = c.caller().Explain(err)
		c.io.say("%s", unknownCommand(root, args, err))
	}
	return exitCode(err)
}

// exitStatus is the error of a verb that has already printed everything.
type exitStatus int

func (exitStatus) Error() string { return "exit" }

// root returns the program's command with all verbs.
func (c *cli) root() *cobra.Command {
	root := c.bareRoot()
	for _, v := range verbs {
		c.add(root, v)
	}
	root.Long = strings.Replace(usageRoot, "COMMANDS\n", listCommands(root), 1)
	return root
}

// rootFor returns the program's command with the verbs that args may need. That is one, if they
// begin with its name: to describe all of them with their flags takes longer than to run one.
// Only what is about other verbs, or names none that there is, needs the rest.
func (c *cli) rootFor(args []string) *cobra.Command {
	if len(args) > 0 {
		for _, v := range verbs {
			if v.name == args[0] && v.name != "help" && v.name != "completion" {
				root := c.bareRoot()
				c.add(root, v)
				return root
			}
		}
	}
	asksVersion := len(args) > 0 && (args[0] == "--version" || args[0] == "-v")
	if asksVersion && len(args) == 1 {
		return c.bareRoot()
	}
	root := c.root()
	if asksVersion {
		root.ResetCommands() // a verb behind it does not run
	}
	return root
}

// bareRoot returns the program's command without a verb.
func (c *cli) bareRoot() *cobra.Command {
	cobra.EnableCommandSorting = false // the help lists commands as they are added
	root := &cobra.Command{
		Use:               "kyc-agentd",
		Args:              noSuchCommand,
		RunE:              c.needsCommand,
		PersistentPreRunE: c.beforeVerb,
		SilenceErrors:     true, // run prints them, as one line
		SilenceUsage:      true,
	}
	root.SetIn(c.io.in)
	root.SetErr(c.io.err)
	// No templates for help and version: a program that can execute one has every method of every
	// type in it, because a template may name it: 2.4 MB of this one.
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { _, _ = io.WriteString(cmd.OutOrStdout(), cmd.Long) })
	addVersionFlag(root)
	root.CompletionOptions.DisableDefaultCmd = true // see completion.go
	root.SetFlagErrorFunc(flagError)
	root.SetGlobalNormalizationFunc(flagName)
	root.PersistentFlags().StringVar(&c.socket, "socket", "", "")
	root.PersistentFlags().VarP(&c.env, "env", "e", "")
	_ = root.PersistentFlags().MarkHidden("env") // the help text has it once for all
	return root
}

// A verbEntry describes a verb only when it is needed.
type verbEntry struct {
	group   string // its title in the help, or "" for what is not listed
	name    string
	command func(*cli) *cobra.Command
}

// verbs are in the order of the help.
var verbs = []verbEntry{
	{"Sign-ins", "login", (*cli).loginCommand},
	{"Sign-ins", "logout", (*cli).logoutCommand},
	{"Sign-ins", "whoami", (*cli).whoamiCommand},
	{"Sign-ins", "password", (*cli).passwordCommand},
	{"Sign-ins", "confirm", (*cli).confirmCommand},
	{"Lock", "passphrase", (*cli).passphraseCommand},
	{"Lock", "lock", (*cli).lockCommand},
	{"Lock", "unlock", (*cli).unlockCommand},
	{"What there is, and what is wrong", "list", func(c *cli) *cobra.Command { return c.listCommand(usageList) }},
	{"What there is, and what is wrong", "status", (*cli).statusCommand},
	{"What there is, and what is wrong", "wait", (*cli).waitCommand},
	{"What there is, and what is wrong", "doctor", (*cli).doctorCommand},
	{"What there is, and what is wrong", "log", (*cli).logCommand},
	{"What there is, and what is wrong", "audit", (*cli).auditCommand},
	{"What there is, and what is wrong", "support", (*cli).supportCommand},
	{"Use", "api", (*cli).apiCommand},
	{"Use", "run", (*cli).runCommand},
	{"Use", "env", (*cli).envCommand},
	{"Approvals", "approve", (*cli).approveCommand},
	{"Approvals", "approvals", (*cli).approvalsCommand},
	{"Approvals", "revoke", (*cli).revokeCommand},
	{"The daemon", "serve", (*cli).serveCommand},
	{"The daemon", "start", (*cli).startCommand},
	{"The daemon", "stop", (*cli).stopCommand},
	{"The daemon", "restart", (*cli).restartCommand},
	{"The daemon", "reload", (*cli).reloadCommand},
	{"Configuration", "config", (*cli).configCommand},
	{"Configuration", "use", (*cli).useCommand},
	{"Configuration", "keygen", (*cli).keygenCommand},
	{"Configuration", "store", (*cli).storeCommand},
	{"This program", "completion", (*cli).completionCommand},
	{"This program", "help", (*cli).helpCommand},
	{"This program", "version", (*cli).versionCommand},
	{"", "environment", (*cli).environmentCommand},
	{"", "auth", (*cli).authCommand},
	{"", "token", (*cli).tokenCommand},
	{"", keyringVerb, (*cli).keyringChildCommand},
	{"", passphraseVerb, (*cli).passphraseChildCommand},
	{"", "sandbox-child", (*cli).sandboxChildCommand},
}

// add adds a verb to root, and its group if that is new.
func (c *cli) add(root *cobra.Command, v verbEntry) {
	cmd := v.command(c)
	if v.name == "help" {
		root.SetHelpCommand(cmd)
	}
	if cmd.GroupID = v.group; v.group != "" && !root.ContainsGroup(v.group) {
		root.AddGroup(&cobra.Group{ID: v.group, Title: v.group})
	}
	root.AddCommand(cmd)
}

// listCommands returns the list of the help text: each group with its commands.
func listCommands(root *cobra.Command) string {
	var list strings.Builder
	width := 0
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			width = max(width, len(cmd.Name()))
		}
	}
	for i, group := range root.Groups() {
		if i > 0 {
			list.WriteString("\n")
		}
		list.WriteString(group.Title + ":\n")
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID {
				fmt.Fprintf(&list, "  %-*s  %s\n", width, cmd.Name(), cmd.Short)
			}
		}
	}
	return list.String()
}

// needsCommand runs a command that needs another word after it: it prints the help.
func (c *cli) needsCommand(cmd *cobra.Command, _ []string) error {
	_, _ = io.WriteString(c.io.err, c.io.spelled(c.io.err, cmd.Long))
	return exitStatus(exitUsage)
}

// unknownCommand returns err, or an error about the command if err is about a flag of an
// unknown command: `kyc-agentd srve --store file`.
func unknownCommand(root *cobra.Command, args []string, err error) error {
	if agent.CodeOf(err) != agent.CodeUsage || len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return err
	}
	if cmd, _, _ := root.Find(args[:1]); cmd != root {
		return err
	}
	return noSuchCommand(root, args)
}

// flagError names the flag that is wrong. It never shows a value, which may be a password.
func flagError(cmd *cobra.Command, err error) error {
	help := "run: " + cmd.CommandPath() + " --help"
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(cmd, e)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usageError(help, "--%s needs a value", e.GetFlag().Name)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if cause := errors.Unwrap(err); e.GetFlag().Value.Type() == config.TextType && cause != nil {
			return usageError(help, "--%s: %v", e.GetFlag().Name, cause)
		}
		return usageError(help, "--%s takes no such value", e.GetFlag().Name)
	}
	return usageError(help, "the command line cannot be understood")
}

// noArgs and atMostOneArg limit the arguments of a verb. Their error does not show what was
// typed: it may be a password in the wrong place.
func noArgs(cmd *cobra.Command, args []string) error {
	return limitArgs(cmd, args, 0, "no arguments")
}

func atMostOneArg(cmd *cobra.Command, args []string) error {
	return limitArgs(cmd, args, 1, "at most one argument")
}

func limitArgs(cmd *cobra.Command, args []string, most int, words string) error {
	if len(args) <= most {
		return nil
	}
	return usageError("run: "+cmd.CommandPath()+" --help", "%s takes %s", cmd.Name(), words)
}

// caller is who runs this program.
func (c *cli) caller() caller.Caller {
	return caller.Caller{UID: os.Getuid(), Getenv: c.vars.Get, Explicit: c.socket != ""}
}

// client calls the agent over its socket.
func (c *cli) client() *ipc.Client {
	return &ipc.Client{Socket: c.socketPath(), Version: programVersion()}
}

func (c *cli) socketPath() string {
	if c.socket != "" {
		return c.socket
	}
	return socket.Path(c.vars.Get)
}
