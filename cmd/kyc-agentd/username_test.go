package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
)

const noUsername = "not a user name: one has at most 128 characters, and no blanks"

// Cognito answers a name with blanks with an error about the app client, so no such name is
// sent. The name is not shown: it may be a password in the wrong place.
func TestUsernameWithBlanksInIt(t *testing.T) {
	for _, verb := range [][]string{
		{"login", "--password-stdin"}, {"password", "reset"}, {"password", "change"}, {"confirm"}, {"run", "--password-stdin"},
	} {
		help := "; run: kyc-agentd " + strings.Join(slices.DeleteFunc(slices.Clone(verb), func(s string) bool { return s[0] == '-' }), " ") + " --help"
		args := append(slices.Clone(verb), "-u", "ana hunter2", "prod")
		session{stdin: "hunter2"}.run(t, args...).want(t, exitUsage, "--user: "+noUsername+help)
	}
	vars := at(t, &scriptedAgent{login: func(context.Context, agent.LoginRequest, agent.Prompter) error { panic("called") }})
	p := terminaltest.New(t)
	p.Types("ana smith\n")
	session{vars: vars, tty: p.TTY}.run(t, "login").want(t, exitUsage, noUsername)
}

// A name that was pasted with blanks around it is the name.
func TestUsernameWithBlanksAroundIt(t *testing.T) {
	var names []string
	vars := at(t, &scriptedAgent{
		login: func(_ context.Context, r agent.LoginRequest, _ agent.Prompter) error {
			names = append(names, r.Username)
			return nil
		},
		recover: func(_ context.Context, r agent.RecoverRequest, _ agent.Prompter) error {
			names = append(names, r.Username)
			return nil
		},
	})
	session{vars: vars, stdin: "hunter2"}.run(t, "login", "--password-stdin", "-u", " ana@example.com\t")
	session{vars: vars}.run(t, "confirm", "--resend", "-u", `adfs\ana `)
	session{vars: vars, tty: terminaltest.New(t).TTY}.run(t, "password", "reset", "-u", "アナ　") // U+3000
	if want := []string{"ana@example.com", `adfs\ana`, "アナ"}; !slices.Equal(names, want) {
		t.Errorf("the agent got %q, want %q", names, want)
	}
	session{vars: vars, stdin: "hunter2"}.run(t, "login", "--password-stdin", "-u", " ").
		want(t, exitUsage, "--password-stdin needs the user's name; add -u USER")
}
