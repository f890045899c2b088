package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
)

// relayedSignals are relayed to the command. SIGTSTP and its like stop this process as any
// other one, and at a terminal the command with it.
var relayedSignals = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// runChild runs the command with the environment env, and returns how it ended.
func (o *runOptions) runChild(ctx context.Context, program string, env []string, signals <-chan os.Signal) error {
	if ctx.Err() != nil {
		return &agent.Error{Code: agent.CodeUnavailable, Op: "run", Message: "cancelled; the command was not started", Err: ctx.Err()}
	}
	child := exec.Cmd{Path: program, Args: o.command, Env: env, Stdin: o.stdin(), Stdout: o.stdout(), Stderr: o.cli.io.err}
	if o.api.on {
		runtime.LockOSThread() // dieWithParent is about the thread that starts the child
		defer runtime.UnlockOSThread()
		dieWithParent(&child)
	}
	cmd, err := startChild(child)
	if err != nil {
		return o.cannotRun(program, err)
	}
	ended := make(chan struct{})
	go relaySignals(signals, cmd.Process, ended)
	if os.Getpid() == 1 || o.api.on {
		go reapOrphans(cmd.Process.Pid, ended)
	}
	err = cmd.Wait()
	close(ended)
	return exitOf(err, cmd.ProcessState)
}

// stdin is the command's. If it is nil, that is /dev/null: the command must not read the rest
// of the secret's input.
func (o *runOptions) stdin() io.Reader {
	if o.passwordStdin || o.apiKeyStdin {
		return nil
	}
	return o.cli.io.in
}

// stdout is the command's. If it is nil, that is /dev/null: the command can write, as without
// this program.
func (o *runOptions) stdout() io.Writer {
	if o.cli.io.out == (closedStdout{}) {
		return nil
	}
	return o.cli.io.out
}

// startChild starts the child. As execvp(3), it has the shell run a script whose first line names
// no interpreter.
func startChild(child exec.Cmd) (*exec.Cmd, error) {
	cmd := child
	err := cmd.Start()
	if !errors.Is(err, syscall.ENOEXEC) || !isText(child.Path) {
		return &cmd, err
	}
	const shell = "/bin/sh"
	child.Args = append([]string{shell, child.Path}, child.Args[1:]...)
	child.Path = shell
	return &child, child.Start()
}

// childEnv is this process's environment with the agent's socket. It never has a secret of
// the agent in it.
func (o *runOptions) childEnv(socket string) []string {
	env := slices.DeleteFunc(slices.Clone(o.cli.vars), config.SecretVariable)
	env = append(env, "KYC_AGENT_SOCK="+socket)
	if o.environment != "" {
		env = append(env, "KYC_ENV="+o.environment)
	}
	return env // of two values os/exec takes the last
}

// relaySignals sends the signals to p until ended is closed. A terminal sends its own
// (Ctrl-C, Ctrl-\) to every process in the foreground, the command included.
func relaySignals(signals <-chan os.Signal, p *os.Process, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case s := <-signals:
			if (s == syscall.SIGINT || s == syscall.SIGQUIT) && terminal.InForeground() {
				continue
			}
			_ = p.Signal(s)
		}
	}
}

// exitOf returns the exit status of a command that ended as state says, by the rule of
// shells.
func exitOf(err error, state *os.ProcessState) error {
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return exitStatus(exitSignalBase + int(status.Signal()))
	case state.Exited():
		return exitStatus(state.ExitCode())
	}
	return &agent.Error{Code: agent.CodeInternal, Op: "run", Message: "it is not known how the command ended", Err: err}
}
