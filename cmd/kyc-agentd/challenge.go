package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// newPassword is the field for a new password. It is not echoed, so the person types it
// twice, and the agent gets it once. A challenge that itself has a field for the repetition
// gets the answer twice.
const (
	newPassword      = "new_password"
	newPasswordAgain = newPassword + "_again"
)

// answerChallenge asks the person. It is an [agent.Prompter].
func (in *interaction) answerChallenge(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
	if in.terminal == nil {
		return refuseChallenge(c)
	}
	in.showChallenge(c)
	answers := agent.Answers{}
	for _, field := range c.Fields {
		if _, done := answers[field.Name]; done || field.Given {
			continue
		}
		typed, err := in.askField(ctx, field)
		if err != nil {
			return nil, err
		}
		answers[field.Name] = typed
		if field.Name == newPassword {
			answers[newPasswordAgain] = typed
		}
	}
	if !slices.ContainsFunc(c.Fields, func(field agent.Field) bool { return field.Name == newPasswordAgain }) {
		delete(answers, newPasswordAgain)
	}
	return answers, nil
}

// waitFor makes a call that may put challenges, and shows at the terminal how long Cognito
// takes to answer, if that is long: it may be, for a user pool can have functions that are
// slow.
func (in *interaction) waitFor(call func(agent.Prompter) error) error {
	if in.terminal == nil {
		return call(in.answerChallenge)
	}
	spin := func() (stop func()) {
		const what = "Cognito has not answered yet; Ctrl-C cancels"
		return in.terminal.Spin(what, cmp.Or(in.cli.slowAfter, time.Second), in.cli.vars.Get("TERM") == "dumb")
	}
	stop := spin()
	defer func() { stop() }()
	return call(func(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
		stop()
		defer func() { stop = spin() }()
		return in.answerChallenge(ctx, c)
	})
}

// optionalChallenges offer to fix the account during the sign-in. If the person declines,
// the sign-in fails with its own error.
var optionalChallenges = []string{"PASSWORD_RESET_REQUIRED", "CONFIRM_SIGN_UP"}

// refuseChallenge answers if there is no terminal.
func refuseChallenge(c agent.Challenge) (agent.Answers, error) {
	if slices.Contains(optionalChallenges, c.Name) {
		return agent.Answers{"code": agent.NewSecret("no")}, nil
	}
	return nil, usageError("run it at a terminal", "Cognito asks %s, and there is no terminal", strconv.Quote(c.Prompt))
}

// showChallenge prints what comes before the fields.
func (in *interaction) showChallenge(c agent.Challenge) {
	if c.Problem != "" {
		in.terminal.Printf("%s", c.Problem)
	}
	if !slices.ContainsFunc(c.Fields, func(field agent.Field) bool { return field.Label == c.Prompt }) {
		in.terminal.Printf("%s", c.Prompt)
	}
	if c.TOTPSecret != "" && c.TOTPSecret != in.shownSecret { // not again after a wrong code
		in.shownSecret = c.TOTPSecret
		in.terminal.ShowTOTP(c, in.cli.vars.Get)
	}
}

func (in *interaction) askField(ctx context.Context, field agent.Field) (agent.Secret, error) {
	label := cmp.Or(field.Label, field.Name)
	if field.Name == newPassword && field.Secret {
		return in.askTwice(ctx, label)
	}
	if attribute, ok := strings.CutPrefix(field.Name, attributePrefix); ok {
		return in.askAttribute(ctx, cmp.Or(attributeLabels[attribute], label))
	}
	typed, err := in.terminal.Ask(ctx, label, field.Secret)
	return agent.NewSecret(typed), err
}

// attributePrefix is of the fields for what the user pool wants to know about a new user.
const attributePrefix = "userAttributes."

// attributeLabels are the questions for Cognito's standard attributes, which are those of
// OpenID Connect, where the name alone does not say what to type.
var attributeLabels = map[string]string{
	"address": "Your address", "birthdate": "Your date of birth (YYYY-MM-DD)", "email": "Your e-mail address",
	"family_name": "Your family name", "gender": "Your gender", "given_name": "Your given name", "locale": "Your locale, such as en-US",
	"middle_name": "Your middle name", "name": "Your name", "nickname": "Your nickname",
	"phone_number": "Your phone number, such as +15551234567", "picture": "The URL of your picture",
	"preferred_username": "Your preferred user name", "profile": "The URL of your profile", "website": "The URL of your website",
	"zoneinfo": "Your time zone, such as Europe/Berlin",
}

// askAttribute asks until there is an answer: the user pool requires one.
func (in *interaction) askAttribute(ctx context.Context, label string) (agent.Secret, error) {
	for {
		typed, err := in.terminal.Ask(ctx, label, false)
		if err != nil || strings.TrimSpace(typed) != "" {
			return agent.NewSecret(typed), err
		}
		in.terminal.Printf("this is needed; Ctrl-C gives up")
	}
}

// askTwice asks for a new secret until both answers are the same.
func (in *interaction) askTwice(ctx context.Context, label string) (agent.Secret, error) {
	for {
		first, err := in.terminal.Ask(ctx, label, true)
		if err != nil {
			return agent.Secret{}, err
		}
		if first == "" {
			in.terminal.Printf("nothing was typed; Ctrl-C gives up")
			continue
		}
		second, err := in.terminal.Ask(ctx, label+", again", true)
		if err != nil {
			return agent.Secret{}, err
		}
		if first == second {
			return agent.NewSecret(first), nil
		}
		in.terminal.Printf("the two are not the same; once more")
	}
}
