package main

import (
	"context"
	"os"
	"os/exec"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
)

// relayedSignals are the signals that a command gets of us. SIGTSTP and its like stop this
// process as any other, and the command with it at a terminal.
var relayedSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// runChild runs the command with the socket in its environment and returns how it ended.
func (b *runOptions) runChild(ctx context.Context, program, socket string, signals <-chan os.Signal) error {
	if ctx.Err() != nil {
		return &agent.Error{Code: agent.CodeUnavailable, Op: "run", Message: "cancelled; the command was not started", Err: ctx.Err()}
	}
	cmd := &exec.Cmd{Path: program, Args: b.command, Env: b.childEnv(socket), Stdin: b.in, Stdout: b.out, Stderr: b.err}
	if b.passwordStdin || b.apiKeyStdin {
		cmd.Stdin = nil // /dev/null: what is left there is the secret's
	}
	if err := cmd.Start(); err != nil {
		return b.cannotRun(err)
	}
	ended := make(chan struct{})
	go relaySignals(signals, cmd.Process, ended)
	if os.Getpid() == 1 {
		go reapOrphans(cmd.Process.Pid, ended)
	}
	err := cmd.Wait()
	close(ended)
	return exitOf(err, cmd.ProcessState)
}

// childEnv is this process's environment with the agent in it. No secret of the agent's
// was ever in an environment.
func (b *runOptions) childEnv(socket string) []string {
	env := append([]string{}, b.vars...)
	env = append(env, "KYC_AGENT_SOCK="+socket)
	if b.environment != "" {
		env = append(env, "KYC_ENV="+b.environment)
	}
	return env // of two values os/exec takes the last
}

// relaySignals sends what comes on signals to p, until ended. A terminal sends its own
// (Ctrl-C, Ctrl-\) to every process in its foreground, and the command is one of them.
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

// exitOf is the exit code of a command that ended as state says, by a shell's rule.
func exitOf(err error, state *os.ProcessState) error {
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return exitStatus(exitSignalBase + int(status.Signal()))
	case state.Exited():
		return exitStatus(state.ExitCode())
	}
	return &agent.Error{Code: agent.CodeInternal, Op: "run", Message: "the command's end is not known", Err: err}
}
