package wire

import (
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A codeInfo is how a code appears on the wire.
type codeInfo struct {
	status int
	title  string
	// defaultMessage is the message of an error that has none.
	defaultMessage string
}

var codes = map[agent.Code]codeInfo{
	agent.CodeUsage:              {http.StatusBadRequest, "Wrong request", "the request is wrong"},
	agent.CodeLoginRequired:      {http.StatusUnauthorized, "Sign-in required", "a person has to sign in"},
	agent.CodeDenied:             {http.StatusForbidden, "Denied", "refused"},
	agent.CodeApprovalRequired:   {http.StatusForbidden, "Approval required", "a person has to approve this program"},
	agent.CodeUnknownEnvironment: {http.StatusNotFound, "Unknown environment", "no such environment is configured"},
	agent.CodeConfiguration:      {http.StatusUnprocessableEntity, "Wrong configuration", "the configuration cannot work"},
	agent.CodeLocked:             {http.StatusLocked, "Store locked", "the store is locked"},
	agent.CodeThrottled:          {http.StatusTooManyRequests, "Slow down", "Cognito asks to slow down; try again later"},
	agent.CodeInternal:           {http.StatusInternalServerError, "Internal error", "internal error; the agent's log says more"},
	agent.CodeUnavailable:        {http.StatusServiceUnavailable, "Unavailable", "not available right now; try again later"},
}

func infoOf(code agent.Code) codeInfo {
	if info, ok := codes[code]; ok {
		return info
	}
	return codes[agent.CodeInternal]
}

// Codes returns every code that has a status.
func Codes() []agent.Code {
	var all []agent.Code
	for code := range codes {
		all = append(all, code)
	}
	return all
}

// StatusOf returns the status of an error with the code.
func StatusOf(code agent.Code) int { return infoOf(code).status }

// CodeOf returns the code of an answer that has a status only, such as net/http's own.
func CodeOf(status int) agent.Code {
	for code, info := range codes {
		if info.status == status && code != agent.CodeUnknownEnvironment && code != agent.CodeApprovalRequired {
			return code
		}
	}
	if status >= 400 && status < 500 {
		return agent.CodeUsage
	}
	return agent.CodeInternal
}

// A Problem is an RFC 9457 problem; its Detail and Hint are an [agent.Error]'s Message and
// Hint.
type Problem struct {
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Status      int        `json:"status"`
	Detail      string     `json:"detail"`
	Code        agent.Code `json:"code"`
	Environment string     `json:"environment,omitempty"`
	Hint        string     `json:"hint,omitempty"`
	// RetryAfter is in seconds, and not rounded as the Retry-After header is.
	RetryAfter float64 `json:"retry_after,omitempty"`
	// BadCredential says that the user name or the password was wrong: a person may be asked
	// again.
	BadCredential bool `json:"bad_credential,omitempty"`
}

// NewProblem describes an error that is answered with status.
func NewProblem(status int, e *agent.Error) Problem {
	return Problem{
		Type: "urn:kyc-agent:problem:" + string(e.Code), Title: infoOf(e.Code).title, Status: status,
		Detail: e.Message, Code: e.Code, Environment: e.Environment, Hint: e.Hint,
		RetryAfter: e.RetryAfter.Seconds(), BadCredential: errors.Is(e, agent.ErrBadCredential),
	}
}

// AgentError returns the [agent.Error] that the problem was made of.
func (p Problem) AgentError(op string) *agent.Error {
	e := &agent.Error{
		Code: p.Code, Op: op, Environment: sanitize.OneLine(p.Environment), Message: sanitize.OneLine(p.Detail), Hint: sanitize.OneLine(p.Hint),
		RetryAfter: time.Duration(math.Round(p.RetryAfter * float64(time.Second))),
	}
	if p.BadCredential {
		e.Err = agent.ErrBadCredential
	}
	return e
}
