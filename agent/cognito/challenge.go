package cognito

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
)

// A question is how one of Cognito's challenges is put to a person and answered.
// One more kind of challenge is one more entry of questions.
type question struct {
	// ask makes the prompt and the inputs of a challenge, or says what is wrong with it.
	ask func(s step) (prompt string, inputs []agent.Input, err error)
	// respond makes ChallengeResponses of what the person typed, all but USERNAME; or
	// says what is wrong with that, and the person is asked again.
	respond func(s step, given agent.Answers) (responses map[string]string, problem string)
	// problems says, for each error code after which the same session takes another
	// answer, what to tell the person. Any other code ends the sign-in.
	problems map[string]string
}

// problem is what to tell the person after a failure; empty when the sign-in is over.
func (q question) problem(f *failure) string {
	if f.reason != "" || f.status >= 500 {
		return ""
	}
	return q.problems[f.code]
}

// questions are the challenges that a person can answer here. What each asks for in
// ChallengeResponses is in the API reference of RespondToAuthChallenge.
var questions = map[types.ChallengeNameType]question{
	types.ChallengeNameTypeSoftwareTokenMfa:    oneTimeCode("SOFTWARE_TOKEN_MFA_CODE", "Code from your authenticator app", "FRIENDLY_DEVICE_NAME"),
	types.ChallengeNameTypeSmsMfa:              oneTimeCode("SMS_MFA_CODE", "Code sent by SMS", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeSmsOtp:              oneTimeCode("SMS_OTP_CODE", "Code sent by SMS", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeEmailOtp:            oneTimeCode("EMAIL_OTP_CODE", "Code sent by e-mail", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeSelectMfaType:       {ask: askMFAType, respond: respondMFAType},
	types.ChallengeNameTypeNewPasswordRequired: {ask: askNewPassword, respond: respondNewPassword, problems: newPasswordProblems},
}

// challengePattern is what a ChallengeName may look like in an error.
var challengePattern = regexp.MustCompile(`^[A-Z_]{1,64}$`)

// challenge makes the first form of the question that ask gets.
func (t *task) challenge(q question, s step) (agent.Challenge, error) {
	prompt, inputs, err := q.ask(s)
	if err != nil {
		return agent.Challenge{}, t.errorf(agent.CodeConfiguration, "tell the user pool's administrator", "Cognito asks for %s in a way that cannot be answered: %v", s.challenge, err)
	}
	return agent.Challenge{Environment: t.env.Name, Name: string(s.challenge), Prompt: prompt, Inputs: inputs}, nil
}

// oneTimeCode is a challenge for a code; detail is the parameter that says where it
// comes from.
func oneTimeCode(response, prompt, detail string) question {
	return question{
		ask: func(s step) (string, []agent.Input, error) {
			where := printable(s.params[detail])
			if where != "" {
				where = " (" + where + ")"
			}
			return prompt + where, []agent.Input{{Name: "code", Label: "Code"}}, nil
		},
		respond: func(_ step, given agent.Answers) (map[string]string, string) {
			// People type codes as they read them: "123 456".
			code := strings.Join(strings.Fields(given["code"].Reveal()), "")
			if code == "" {
				return nil, "no code was given"
			}
			return map[string]string{response: code}, ""
		},
		problems: map[string]string{
			"CodeMismatchException":     "wrong code",
			"ExpiredCodeException":      "that code has expired or was used before: wait for the next one",
			"InvalidParameterException": "Cognito takes that for no code at all",
		},
	}
}

// mfaTypes names Cognito's MFA types for people.
var mfaTypes = map[string]string{
	"SOFTWARE_TOKEN_MFA": "authenticator app",
	"SMS_MFA":            "SMS",
	"EMAIL_OTP":          "e-mail",
	"EMAIL_MFA":          "e-mail",
}

func askMFAType(s step) (string, []agent.Input, error) {
	types, err := choices(s)
	if err != nil {
		return "", nil, err
	}
	list := make([]string, len(types))
	for i, name := range types {
		list[i] = fmt.Sprintf("%d = %s", i+1, name)
		if human := mfaTypes[name]; human != "" {
			list[i] = fmt.Sprintf("%d = %s (%s)", i+1, human, name)
		}
	}
	return "Choose a second factor: " + strings.Join(list, ", "), []agent.Input{{Name: "choice", Label: "Number or name"}}, nil
}

func respondMFAType(s step, given agent.Answers) (map[string]string, string) {
	types, _ := choices(s)
	answer := strings.TrimSpace(given["choice"].Reveal())
	for i, name := range types {
		if answer == strconv.Itoa(i+1) || strings.EqualFold(answer, name) {
			return map[string]string{"ANSWER": name}, ""
		}
	}
	return nil, "not one of the choices"
}

// choices are the MFA types to choose from.
func choices(s step) ([]string, error) {
	return names(s.params["MFAS_CAN_CHOOSE"], challengePattern, 1)
}

// names reads a list of names, which Cognito puts into parameters as JSON.
func names(list string, pattern *regexp.Regexp, least int) ([]string, error) {
	var names []string
	if list != "" {
		if err := json.Unmarshal([]byte(list), &names); err != nil {
			return nil, fmt.Errorf("a list that is not JSON")
		}
	}
	if len(names) < least || len(names) > 50 {
		return nil, fmt.Errorf("a list of %d", len(names))
	}
	for _, name := range names {
		if !pattern.MatchString(name) {
			return nil, fmt.Errorf("a list with an improper name in it")
		}
	}
	return names, nil
}

var newPasswordProblems = map[string]string{
	"InvalidPasswordException":                "Cognito refused that password: it does not meet the user pool's rules (length, kinds of characters)",
	"PasswordHistoryPolicyViolationException": "Cognito refused that password: it was used before",
	"InvalidParameterException":               "Cognito refused one of the values",
}

const (
	newPassword      = "new_password"
	newPasswordAgain = "new_password_again"
	attributePrefix  = "userAttributes."
)

func askNewPassword(s step) (string, []agent.Input, error) {
	attributes, err := requiredAttributes(s)
	if err != nil {
		return "", nil, err
	}
	inputs := []agent.Input{
		{Name: newPassword, Label: "New password", Secret: true},
		{Name: newPasswordAgain, Label: "New password again", Secret: true},
	}
	for _, name := range attributes {
		inputs = append(inputs, agent.Input{Name: name, Label: strings.TrimPrefix(name, attributePrefix)})
	}
	return "A new password is needed before the first sign-in", inputs, nil
}

// respondNewPassword holds the two passwords against each other when both are
// there: a program that answers need not say it twice.
func respondNewPassword(s step, given agent.Answers) (map[string]string, string) {
	password := given[newPassword].Reveal()
	if password == "" {
		return nil, "no new password was given"
	}
	if again, ok := given[newPasswordAgain]; ok && again.Reveal() != password {
		return nil, "the two passwords are not the same"
	}
	responses := map[string]string{"NEW_PASSWORD": password}
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

var attributePattern = regexp.MustCompile(`^(userAttributes\.)?[A-Za-z][A-Za-z0-9_:.-]{0,60}$`)

// requiredAttributes are the attributes to give with a new password, in the form
// of ChallengeResponses. Cognito lists them with that prefix; others without.
func requiredAttributes(s step) ([]string, error) {
	list, err := names(s.params["requiredAttributes"], attributePattern, 0)
	for i, name := range list {
		if !strings.HasPrefix(name, attributePrefix) {
			list[i] = attributePrefix + name
		}
	}
	return list, err
}

// printable makes a server's text fit for a prompt on a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 64 {
		s = string(r[:64]) + "…"
	}
	return s
}
