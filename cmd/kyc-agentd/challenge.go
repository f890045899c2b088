package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/legaltalent/kyc-agent/agent"
)

// newPassword is the input that a new password goes into. It is not echoed, so it is
// asked for twice; the agent gets it once. Should a challenge ask for the repetition
// itself, that is answered as well.
const (
	newPassword      = "new_password"
	newPasswordAgain = newPassword + "_again"
)

// answerChallenge puts a challenge to the person. It is an [agent.Prompter].
func (d *interaction) answerChallenge(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
	if d.terminal == nil {
		return refuseChallenge(c)
	}
	d.showChallenge(c)
	answers := agent.Answers{}
	for _, in := range c.Fields {
		if _, done := answers[in.Name]; done {
			continue
		}
		typed, err := d.askField(ctx, in)
		if err != nil {
			return nil, err
		}
		answers[in.Name] = typed
		if in.Name == newPassword {
			answers[newPasswordAgain] = typed
		}
	}
	if !slices.ContainsFunc(c.Fields, func(in agent.Field) bool { return in.Name == newPasswordAgain }) {
		delete(answers, newPasswordAgain)
	}
	return answers, nil
}

// optionalChallenges are the challenges that would mend the account before the sign-in goes on.
// Whoever declines gets the error that the sign-in had.
var optionalChallenges = []string{"PASSWORD_RESET_REQUIRED", "CONFIRM_SIGN_UP"}

// refuseChallenge answers where there is no terminal.
func refuseChallenge(c agent.Challenge) (agent.Answers, error) {
	if slices.Contains(optionalChallenges, c.Name) {
		return agent.Answers{"code": agent.NewSecret("no")}, nil
	}
	return nil, usageError("run it at a terminal", "Cognito asks %s, and there is no terminal", strconv.Quote(c.Prompt))
}

// showChallenge writes what comes before the inputs.
func (d *interaction) showChallenge(c agent.Challenge) {
	if c.Problem != "" {
		d.terminal.Printf("%s", c.Problem)
	}
	if !slices.ContainsFunc(c.Fields, func(in agent.Field) bool { return in.Label == c.Prompt }) {
		d.terminal.Printf("%s", c.Prompt)
	}
	if c.TOTPSecret != "" && c.TOTPSecret != d.shownSecret { // not again after a wrong code
		d.shownSecret = c.TOTPSecret
		d.terminal.ShowTOTP(c, d.vars.Get)
	}
}

func (d *interaction) askField(ctx context.Context, in agent.Field) (agent.Secret, error) {
	label := cmp.Or(in.Label, in.Name)
	if in.Name == newPassword && in.Secret {
		return d.askTwice(ctx, label)
	}
	typed, err := d.terminal.Ask(ctx, label, in.Secret)
	return agent.NewSecret(typed), err
}

// askTwice asks for what nobody sees until both times it is the same.
func (d *interaction) askTwice(ctx context.Context, label string) (agent.Secret, error) {
	for {
		first, err := d.terminal.Ask(ctx, label, true)
		if err != nil {
			return agent.Secret{}, err
		}
		if first == "" {
			d.terminal.Printf("nothing was typed; Ctrl-C gives up")
			continue
		}
		second, err := d.terminal.Ask(ctx, label+", again", true)
		if err != nil {
			return agent.Secret{}, err
		}
		if first == second {
			return agent.NewSecret(first), nil
		}
		d.terminal.Printf("the two are not the same; once more")
	}
}
