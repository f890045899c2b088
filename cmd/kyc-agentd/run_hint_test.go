package main

import (
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
)

func TestHintForRun(t *testing.T) {
	for hint, want := range map[string]string{
		"": "",
		"check both, then run: kyc-agentd login prod":                "check both, then run this command again",
		"run again: kyc-agentd login prod":                           "run this command again",
		"wait (15 minutes at most), then run: kyc-agentd login prod": "wait (15 minutes at most), then run this command again",
		"correct auth_flow, then run: kyc-agentd reload":             "correct auth_flow, then run this command again",
		"the agent tries again by itself in 5s":                      "run this command again",
		"fix the credential (it is tried again when its file changes, at most every 5 minutes), or run: kyc-agentd login prod": "check the user and the password, then run this command again",
		"run: kyc-agentd password reset prod": "at a terminal and with kyc-agentd serve, run: kyc-agentd password reset prod",
		"run: kyc-agentd confirm prod":        "at a terminal and with kyc-agentd serve, run: kyc-agentd confirm prod",
		"run: chmod 600 /etc/x":               "run: chmod 600 /etc/x",
	} {
		in := &agent.Error{Code: agent.CodeUnavailable, Message: "m", Hint: hint}
		got := hintForRun(in).(*agent.Error)
		if got.Hint != want || got.Code != in.Code || got.Message != "m" || in.Hint != hint {
			t.Errorf("%q becomes %q, want %q", hint, got.Hint, want)
		}
	}
}
