package cognito

import (
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
)

// This file has what a person is told of the rules for a new password before they type one.
// The user pool's policy can only be read with credentials of its AWS account, but Cognito
// names a rule whenever it refuses a password.

// generalRules hold in every user pool.
// https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html
const generalRules = "6 to 256 characters, no space at either end"

// poolRules are what a refusal says about the user pool's rules.
var poolRules = map[reason]string{
	reasonShort:  "longer than the one that was refused",
	reasonLower:  "a lower-case letter",
	reasonUpper:  "an upper-case letter",
	reasonDigit:  "a digit",
	reasonSymbol: "a symbol such as ! or #",
}

// learnRule remembers the rule that a refused password broke, until the operation ends.
func (o *operation) learnRule(f *failure) {
	rule := ""
	switch f.Code {
	case "InvalidPasswordException":
		rule = poolRules[f.reason]
	case "PasswordHistoryPolicyViolationException":
		rule = "none that was used before"
	}
	if rule != "" && !slices.Contains(o.rules, rule) {
		o.rules = append(o.rules, rule)
	}
}

// withRules adds the rules to the prompt of a challenge that asks for a new password.
func (o *operation) withRules(c agent.Challenge) agent.Challenge {
	if asks := slices.ContainsFunc(c.Fields, func(f agent.Field) bool { return f.Name == newPassword && !f.Given }); asks {
		c.Prompt += " (rules known so far: " + strings.Join(append([]string{generalRules}, o.rules...), ", ") + ")"
	}
	return c
}

// What of an answer to NEW_PASSWORD_REQUIRED was wrong.
type answerPart int

const (
	wrongAnswer    answerPart = iota // it is not known what
	wrongPassword                    // the password, not the attributes
	wrongAttribute                   // an attribute, not the password
)

// refusedPart returns what Cognito refused.
func refusedPart(f *failure) answerPart {
	switch {
	case f.Code == "InvalidPasswordException", f.Code == "PasswordHistoryPolicyViolationException", f.reason == reasonForm:
		return wrongPassword
	case f.reason == reasonAttribute, f.reason == reasonProvided:
		return wrongAttribute
	}
	return wrongAnswer
}

// incompletePart returns what is wrong with an answer that was not sent.
func incompletePart(given agent.Answers) answerPart {
	if _, problem := typedNewPassword(given); problem != "" {
		return wrongPassword
	}
	return wrongAttribute
}

// keepAnswers returns the answers of a form with a new password that need not be typed again,
// and marks their fields.
func keepAnswers(c *agent.Challenge, given agent.Answers, wrong answerPart) agent.Answers {
	kept := agent.Answers{}
	for i, f := range c.Fields {
		isAttribute := strings.HasPrefix(f.Name, attributePrefix)
		value, typed := given[f.Name]
		f.Given = typed && !value.IsZero() && (isAttribute && wrong == wrongPassword || !isAttribute && f.Secret && wrong == wrongAttribute)
		if f.Given {
			kept[f.Name] = value
		}
		c.Fields[i] = f
	}
	return kept
}
