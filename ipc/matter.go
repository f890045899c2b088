package ipc

import (
	"fmt"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// A matter is what a conversation is about, in words for its errors.
type matter struct {
	op      string // as in [agent.Error]
	what    string // "sign-in"
	command string // "kyc-agentd login"
}

var aboutLogin = matter{"login", "sign-in", "kyc-agentd login"}

func aboutRecover(action agent.RecoverAction) matter {
	switch action {
	case agent.RecoverChange:
		return matter{"recover", "change of password", "kyc-agentd password change"}
	case agent.RecoverConfirm, agent.RecoverResend:
		return matter{"recover", "confirmation", "kyc-agentd confirm"}
	}
	return matter{"recover", "password reset", "kyc-agentd password reset"}
}

// tooLate is the error for an answer that did not come in time; environment may be
// empty, which means the agent's default.
func (m matter) tooLate(environment string) error {
	return &agent.Error{
		Code: agent.CodeLoginRequired, Op: m.op, Environment: environment,
		Hint:    strings.TrimSpace("run: " + m.command + " " + environment),
		Message: fmt.Sprintf("this %s waited more than %d minutes for an answer and has expired", m.what, answerTimeout/time.Minute),
	}
}

func (m matter) cancelled(message string) error {
	return &agent.Error{Code: agent.CodeUnavailable, Op: m.op, Message: message, Hint: "try again"}
}

func (m matter) stopping() error { return m.cancelled("the agent is stopping") }
