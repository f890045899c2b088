package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/service"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// The exit codes are those of sysexits.h and mean the same in kyc-token.
const (
	exitOK            = 0
	exitUsage         = 64 // EX_USAGE: the command line is wrong
	exitNoAgent       = 69 // EX_UNAVAILABLE: no agent listens on the socket
	exitInternal      = 70 // EX_SOFTWARE
	exitTemporary     = 75 // EX_TEMPFAIL: the same command may work later
	exitDenied        = 77 // EX_NOPERM: sign-in needed, locked, or refused
	exitConfiguration = 78 // EX_CONFIG: unknown environment, or a bad configuration
)

// Only doctor has these, so that a script can tell warnings from problems.
const (
	exitWarnings = 1
	exitProblems = 2
)

// Only run has these, for a command that it did not start. They are those of a shell and of
// env(1).
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// exitSignalBase and the number of a signal are the exit code of a verb that the signal
// ended, and of run if it ended the command.
const exitSignalBase = 128

var exitCodes = map[agent.Code]int{
	agent.CodeUsage:              exitUsage,
	agent.CodeLoginRequired:      exitDenied,
	agent.CodeDenied:             exitDenied,
	agent.CodeLocked:             exitDenied,
	agent.CodeApprovalRequired:   exitDenied,
	agent.CodeUnknownEnvironment: exitConfiguration,
	agent.CodeConfiguration:      exitConfiguration,
	agent.CodeThrottled:          exitTemporary,
	agent.CodeUnavailable:        exitTemporary,
	agent.CodeInternal:           exitInternal,
}

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if i, ok := errors.AsType[*interruption](err); ok {
		return exitSignalBase + int(i.signal)
	}
	if noAgent(err) || errors.Is(err, socket.ErrWithheld) {
		return exitNoAgent
	}
	if code, ok := exitCodes[agent.CodeOf(err)]; ok {
		return code
	}
	return exitInternal
}

// noAgent reports whether err means that nothing answers on the socket. Its code, unavailable,
// has other causes too, so the failed connect decides.
func noAgent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && agent.CodeOf(err) == agent.CodeUnavailable
}

// unanswered reports whether err means that no agent has answered: none listens, or systemd does
// and starts none, which ends only at the client's timeout or when systemd gives up, or a start of
// one has failed.
func unanswered(err error) bool {
	e, ok := errors.AsType[*agent.Error](err)
	return noAgent(err) || errors.Is(err, ipc.ErrNoAnswer) || ok && e.Op == service.Op
}

// usageError returns an error about the command line. hint is the next command to type.
func usageError(hint, format string, args ...any) error {
	return &agent.Error{Code: agent.CodeUsage, Op: "usage", Message: fmt.Sprintf(format, args...), Hint: hint}
}
