package doctor

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/service"
)

// startAgain is for units that have failed.
const startAgain = "systemctl --user daemon-reload && systemctl --user reset-failed " + serviceUnit + " " + socketUnit +
	" && systemctl --user restart " + socketUnit

// StartError returns why systemd cannot start the agent of the socket path, on which none has
// answered. It returns unanswered, the error that says so, if systemd does not know either.
//
// A service that ends at every start is started ten times in five seconds, and then its socket is
// closed. Where a start takes longer than half a second, that limit is never reached: the socket
// accepts connections for ever, and each client waits until its own timeout.
func StartError(ctx context.Context, vars config.Environ, path string, unanswered error) error {
	p := newProbe(Options{Vars: vars, Socket: path})
	u, err := p.askUnits(ctx)
	if err != nil || u.missing() || u.service.runs() || !service.ListensOn(u.socket["Listen"], path, vars.Get) {
		return unanswered
	}
	for _, f := range u.credentialFaults(vars) {
		return &agent.Error{Code: agent.CodeConfiguration, Op: "start", Message: f.Message, Hint: f.Fix}
	}
	for _, f := range slices.Concat(u.missingPair(), u.programFaults(), u.socket.loadFaults(socketUnit), u.service.faults(serviceUnit)) {
		if f.Severity == SeverityProblem {
			return &agent.Error{Code: agent.CodeUnavailable, Op: "start", Message: f.Message, Hint: f.Fix, Err: unanswered}
		}
	}
	return unanswered
}

// runs reports whether the service has been started: what keeps it from a start is not why it does
// not answer.
func (u unit) runs() bool {
	return slices.Contains([]string{"active", "reloading", "deactivating"}, u["ActiveState"])
}

// restarts reports whether systemd starts u again and again: one restart may be slow by itself.
func (u unit) restarts() bool {
	n, _ := strconv.Atoi(u["NRestarts"])
	return n > 1 && u.is("ActiveState", "activating")
}

// outcome is how the unit ended, in parentheses: the exit status or the signal of a service, and its
// Result if that says more. It is "" while systemd starts the service again and has forgotten. A
// status of 200 and more is systemd's own and says what failed before the program ran: see
// systemd.exec(5).
func (u unit) outcome() string {
	const exited, killed, dumped = "1", "2", "3" // the codes of waitid(2)
	var words []string
	switch u["Result"] {
	case "success", "exit-code", "signal", "core-dump", "":
	default:
		words = append(words, u["Result"])
	}
	switch u["ExecMainCode"] {
	case exited:
		words = append(words, "exit status "+u["ExecMainStatus"])
	case killed, dumped:
		words = append(words, "signal "+u["ExecMainStatus"])
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}
