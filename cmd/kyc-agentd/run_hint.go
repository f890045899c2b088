package main

import (
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// needsLastingAgent matches the next step of an error that helps at an agent that stays.
var needsLastingAgent = lazyregexp.New(`run(?: again)?: kyc-agentd (?:login|reload)(?: \S+)?`)

// needsPerson matches one for a person, who has to be asked at another agent.
var needsPerson = lazyregexp.New(`run: (kyc-agentd (?:confirm|password))`)

// hintForRun returns err with a next step that works here: the agent of `run` has ended when a
// person reads it, so nobody can sign in to it, and it tries nothing again.
func hintForRun(err error) error {
	e, ok := errors.AsType[*agent.Error](err)
	if !ok {
		return err
	}
	out := *e
	switch {
	case strings.Contains(e.Hint, "by itself"):
		out.Hint, out.RetryAfter = "run this command again", 0
	case strings.Contains(e.Hint, "when its file changes"):
		out.Hint = "check the user and the password, then run this command again"
	default:
		out.Hint = needsLastingAgent.Get().ReplaceAllString(e.Hint, "run this command again")
		out.Hint = needsPerson.Get().ReplaceAllString(out.Hint, "at a terminal and with kyc-agentd serve, run: $1")
	}
	return &out
}
