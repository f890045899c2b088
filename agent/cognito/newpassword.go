package cognito

import (
	"context"
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// passwordProblems are the reasons for which Cognito refuses a new password. The user pool's
// policy can only be read with credentials of its AWS account, so all that is known of it is
// the one rule that Cognito names when it refuses a password.
var passwordProblems = map[string]string{
	"InvalidPasswordException":                "Cognito refused that password: it does not meet the user pool's rules (length, kinds of characters)",
	"InvalidPasswordException/short":          "Cognito refused that password: it is shorter than the user pool's rules ask for",
	"InvalidPasswordException/long":           "Cognito refused that password: it is longer than Cognito allows",
	"InvalidPasswordException/lower":          "Cognito refused that password: the user pool's rules ask for a lower-case letter",
	"InvalidPasswordException/upper":          "Cognito refused that password: the user pool's rules ask for an upper-case letter",
	"InvalidPasswordException/digit":          "Cognito refused that password: the user pool's rules ask for a digit",
	"InvalidPasswordException/symbol":         "Cognito refused that password: the user pool's rules ask for a symbol, such as ! or #",
	"PasswordHistoryPolicyViolationException": "Cognito refused that password: it was used before",
	"InvalidParameterException":               "Cognito refused one of the values (a password must not begin or end with a space)",
	"InvalidParameterException/form":          "Cognito refused that password: it must not begin or end with a space",
	"InvalidParameterException/provided":      attributeProblem,
	"InvalidParameterException/attribute":     attributeProblem,
}

const attributeProblem = "Cognito refused an attribute, not the password: one is missing or not in its form (a phone number is like +15551234567)"

const (
	newPassword      = "new_password"
	newPasswordAgain = "new_password_again"
	attributePrefix  = "userAttributes."
)

func newPasswordFields() []agent.Field {
	return []agent.Field{
		{Name: newPassword, Label: "New password", Secret: true},
		{Name: newPasswordAgain, Label: "New password again", Secret: true},
	}
}

// typedNewPassword returns the new password. It compares the two passwords if both were given:
// a program that answers need not give the password twice.
func typedNewPassword(given agent.Answers) (password agent.Secret, problem string) {
	password = given[newPassword]
	if password.IsZero() {
		return password, "no new password was given"
	}
	if again, ok := given[newPasswordAgain]; ok && !again.Equal(password) {
		return password, "the two passwords are not the same"
	}
	return password, ""
}

func newPasswordPrompt(s step) (string, []agent.Field, error) {
	attributes, err := requiredAttributes(s)
	if err != nil {
		return "", nil, err
	}
	fields := newPasswordFields()
	for _, name := range attributes {
		fields = append(fields, agent.Field{Name: name, Label: strings.TrimPrefix(name, attributePrefix)})
	}
	return "A new password is needed before the first sign-in", fields, nil
}

func newPasswordResponses(s step, given agent.Answers) (map[string]string, string) {
	password, problem := typedNewPassword(given)
	if problem != "" {
		return nil, problem
	}
	responses := map[string]string{"NEW_PASSWORD": password.Reveal()}
	attributes, _ := requiredAttributes(s)
	for _, name := range attributes {
		value := strings.TrimSpace(given[name].Reveal())
		if value == "" {
			return nil, strings.TrimPrefix(name, attributePrefix) + " is needed"
		}
		responses[name] = value
	}
	return responses, ""
}

var attributePattern = lazyregexp.New(`^(userAttributes\.)?[A-Za-z][A-Za-z0-9_:.-]{0,60}$`)

// requiredAttributes returns the attributes that must be given with a new password, named as
// in ChallengeResponses. Cognito lists them with their prefix, emulators without.
func requiredAttributes(s step) ([]string, error) {
	list, err := parseNames(s.params["requiredAttributes"])
	if err != nil {
		return nil, err
	}
	for i, name := range list {
		if !attributePattern.MatchString(name) {
			return nil, errors.New("its list contains an invalid name")
		}
		list[i] = attributePrefix + strings.TrimPrefix(name, attributePrefix)
	}
	return list, nil
}

// answerQuestion sends the answer to a question. Cognito may list an attribute as required that
// has a value already, and then refuses a new value; the answer is sent again without it.
func (si *signIn) answerQuestion(ctx context.Context, s step, responses map[string]string) (step, *failure) {
	for {
		next, fail := si.respond(ctx, s, responses)
		if fail == nil || fail.reason != reasonProvided || responses[attributePrefix+fail.attribute] == "" {
			return next, fail
		}
		delete(responses, attributePrefix+fail.attribute)
	}
}
