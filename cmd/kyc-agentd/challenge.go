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
	if c.Name == agent.ChallengeBrowser && in.browser != nil {
		return in.browser.answer(ctx, c)
	}
	if in.terminal == nil {
		return refuseChallenge(c)
	}
	if len(c.Fields) == 1 && c.Fields[0].Label == "Answer" && strings.HasSuffix(c.Prompt, "?") {
		field := c.Fields[0]
		field.Label = c.Prompt // the challenge is the question
		c.Fields = []agent.Field{field}
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
	question := fieldQuestion(field)
	switch {
	case field.Name == newPassword && field.Secret:
		return in.askTwice(ctx, question)
	case strings.HasPrefix(field.Name, attributePrefix):
		return in.askAttribute(ctx, question)
	}
	typed, err := in.terminal.Ask(ctx, question, field.Secret)
	return agent.NewSecret(typed), err
}

// fieldQuestion returns the question for a field. Its label is that of a form.
func fieldQuestion(field agent.Field) string {
	label := cmp.Or(field.Label, field.Name)
	if question := labelQuestions[label]; question != "" {
		return question
	}
	if attribute, ok := strings.CutPrefix(field.Name, attributePrefix); ok && attributes[attribute] != "" {
		return "What is " + attributes[attribute] + "?"
	}
	return strings.TrimRight(label, "?: ") + "?"
}

// labelQuestions are the questions for the labels that are too short to be one.
var labelQuestions = map[string]string{
	"Answer": "What is the answer?", "Code": "What is the code?", "Number or name": "Which of these?",
}

// attributePrefix is of the fields for what the user pool wants to know about a new user.
const attributePrefix = "userAttributes."

// attributes are Cognito's standard attributes, which are those of OpenID Connect, in words:
// the name alone does not say what to type.
var attributes = map[string]string{
	"address": "your address", "birthdate": "your date of birth (YYYY-MM-DD)", "email": "your e-mail address",
	"family_name": "your family name", "gender": "your gender", "given_name": "your given name", "locale": "your locale (such as en-US)",
	"middle_name": "your middle name", "name": "your name", "nickname": "your nickname",
	"phone_number": "your phone number (such as +15551234567)", "picture": "the URL of your picture",
	"preferred_username": "your preferred user name", "profile": "the URL of your profile", "website": "the URL of your website",
	"zoneinfo": "your time zone (such as Europe/Berlin)",
}

// askAttribute asks until there is an answer: the user pool requires one.
func (in *interaction) askAttribute(ctx context.Context, question string) (agent.Secret, error) {
	for {
		typed, err := in.terminal.Ask(ctx, question, false)
		if err != nil || strings.TrimSpace(typed) != "" {
			return agent.NewSecret(typed), err
		}
		in.terminal.Printf("this is needed; Ctrl-C gives up")
	}
}

// askTwice asks for a new secret until both answers are the same.
func (in *interaction) askTwice(ctx context.Context, question string) (agent.Secret, error) {
	for {
		first, err := in.terminal.Ask(ctx, question, true)
		if err != nil {
			return agent.Secret{}, err
		}
		if first == "" {
			in.terminal.Printf("nothing was typed; Ctrl-C gives up")
			continue
		}
		second, err := in.terminal.Ask(ctx, strings.TrimSuffix(question, "?")+", again?", true)
		if err != nil {
			return agent.Secret{}, err
		}
		if first == second {
			return agent.NewSecret(first), nil
		}
		in.terminal.Printf("the two are not the same; once more")
	}
}
