package cognito

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A question is a challenge of Cognito that a person can answer. To support another
// challenge, add an entry to questions.
type question struct {
	// prompt returns the prompt and the fields of a challenge, or what is wrong with it.
	prompt func(s step) (prompt string, fields []agent.Field, err error)
	// responses turns what the person typed into ChallengeResponses, without USERNAME. If it
	// returns a problem, the person is asked again.
	responses func(s step, given agent.Answers) (responses map[string]string, problem string)
	// problems has the text to show to the person for each error code (or code/reason) after
	// which Cognito accepts another answer in the same session. Any other code ends the
	// sign-in.
	problems map[string]string
}

// problemFor returns the text to show to the person before the next answer, or "" if a failure
// ends the operation. A failure with a reason only matches an entry with that reason.
func problemFor(problems map[string]string, f *failure) string {
	if f.Status >= 500 {
		return ""
	}
	if problem := problems[f.Code+"/"+string(f.reason)]; problem != "" {
		return problem
	}
	if f.reason != "" {
		return ""
	}
	return problems[f.Code]
}

// questions are the challenges that a person answers. The API reference of
// RespondToAuthChallenge lists the ChallengeResponses of each.
var questions = map[types.ChallengeNameType]question{
	types.ChallengeNameTypeSoftwareTokenMfa:    oneTimeCode("SOFTWARE_TOKEN_MFA_CODE", "Code from your authenticator app", "FRIENDLY_DEVICE_NAME"),
	types.ChallengeNameTypeSmsMfa:              oneTimeCode("SMS_MFA_CODE", "Code sent by SMS", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeSmsOtp:              oneTimeCode("SMS_OTP_CODE", "Code sent by SMS", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeEmailOtp:            oneTimeCode("EMAIL_OTP_CODE", "Code sent by e-mail", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeSelectMfaType:       {prompt: mfaTypePrompt, responses: mfaTypeResponses},
	types.ChallengeNameTypeNewPasswordRequired: {prompt: newPasswordPrompt, responses: newPasswordResponses, problems: passwordProblems},
	types.ChallengeNameTypeCustomChallenge:     {prompt: customPrompt, responses: customResponses},
}

// challengePattern matches a ChallengeName that may appear in an error.
var challengePattern = lazyregexp.New(`^[A-Z0-9_]{1,64}$`)

// promptUntilAccepted shows c to the person until try accepts the answer, that is, returns no
// problem. try may change c for the next time.
func (o *operation) promptUntilAccepted(ctx context.Context, c *agent.Challenge, try func(agent.Answers) (problem string, err error)) error {
	for range maxAnswers {
		given, err := o.ask(ctx, o.withRules(*c))
		if err != nil {
			return o.promptError(*c, err)
		}
		problem, err := try(given)
		if err != nil || problem == "" {
			return err
		}
		c.Problem = problem
	}
	return o.errorf(agent.CodeLoginRequired, "begin again: "+o.rerunHint(), "%d answers in a row were refused", maxAnswers)
}

// askQuestion asks the person until Cognito accepts the answer. A wrong answer does not change
// the session, so the next answer is sent in the same session.
func (si *signIn) askQuestion(ctx context.Context, q question, s step) (next step, err error) {
	c, err := si.newChallenge(q, s)
	if err != nil {
		return step{}, err
	}
	var kept agent.Answers
	err = si.op.promptUntilAccepted(ctx, &c, func(typed agent.Answers) (string, error) {
		given := merged(kept, typed)
		responses, problem := q.responses(s, given)
		if problem != "" {
			kept = keepAnswers(&c, given, incompletePart(given))
			return problem, nil
		}
		var fail *failure
		if next, fail = si.answerQuestion(ctx, s, responses); fail == nil {
			if password := responses["NEW_PASSWORD"]; password != "" {
				si.password, si.passwordChanged = agent.NewSecret(password), true // for later steps
			}
			return "", nil
		}
		if problem := problemFor(q.problems, fail); problem != "" {
			si.op.learnRule(fail)
			kept = keepAnswers(&c, given, refusedPart(fail))
			return problem, nil
		}
		return "", si.challengeError(answerMapping, s, fail)
	})
	si.lastAnswered = s
	return next, err
}

// newChallenge returns the form for the first answer to a question. If the answer to a custom
// challenge was wrong, Cognito sends the same challenge again as if it were the next one.
func (si *signIn) newChallenge(q question, s step) (agent.Challenge, error) {
	prompt, fields, err := q.prompt(s)
	if err != nil {
		return agent.Challenge{}, si.op.malformedChallenge(s, err)
	}
	c := agent.Challenge{Environment: si.op.env.Name, Name: string(s.challenge), Prompt: prompt, Fields: fields}
	if s.challenge == si.lastAnswered.challenge && maps.Equal(s.params, si.lastAnswered.params) {
		c.Problem = "the same question was asked again"
	}
	return c, nil
}

// respond sends the answer to a challenge, if necessary a second time without the device.
func (si *signIn) respond(ctx context.Context, s step, responses map[string]string) (step, *failure) {
	once := func() (step, *failure) { return si.respondOnce(ctx, s, responses) }
	next, fail := withTries(ctx, once)
	if fail != nil && si.dropUnknownDevice(fail) {
		return withTries(ctx, once)
	}
	return next, fail
}

func (si *signIn) respondOnce(ctx context.Context, s step, responses map[string]string) (step, *failure) {
	send := maps.Clone(responses)
	send["USERNAME"] = s.user
	si.addDeviceKey(send)
	return si.callStep(ctx, "RespondToAuthChallenge", func(ctx context.Context) (*step, error) {
		si.op.addSecretHash(send, s.user)
		out, err := si.op.api.RespondToAuthChallenge(ctx, &cip.RespondToAuthChallengeInput{
			ChallengeName:      s.challenge,
			ClientId:           aws.String(si.op.env.ClientID),
			Session:            s.session,
			ChallengeResponses: send,
		})
		if err != nil {
			return nil, err
		}
		return &step{
			result: out.AuthenticationResult, challenge: out.ChallengeName, params: out.ChallengeParameters,
			session: out.Session, user: usernameFor(out.ChallengeParameters, s.user),
		}, nil
	})
}

// oneTimeCode is a question for a code. detail is the parameter that says where the code
// comes from.
func oneTimeCode(response, prompt, detail string) question {
	return question{
		prompt: func(s step) (string, []agent.Field, error) {
			where := printable(s.params[detail])
			if where != "" {
				where = " (" + where + ")"
			}
			return prompt + where, []agent.Field{{Name: "code", Label: "Code"}}, nil
		},
		responses: func(_ step, given agent.Answers) (map[string]string, string) {
			code, problem := typedCode(given)
			if strings.EqualFold(code, resendWord) {
				problem = noSecondCode(response)
			}
			return map[string]string{response: code}, problem
		},
		problems: map[string]string{
			"CodeMismatchException":     "wrong code",
			"ExpiredCodeException":      "that code has expired or was used before: wait for the next one",
			"InvalidParameterException": "Cognito does not accept that as a code",
		},
	}
}

// noSecondCode answers a person who types the word that gets another code elsewhere. Cognito has
// no call for that in a sign-in, and would count the word as a wrong code.
func noSecondCode(response string) string {
	if response == "SOFTWARE_TOKEN_MFA_CODE" {
		return "Cognito sends no code: the authenticator app shows it"
	}
	return "Cognito sends no second code in the same sign-in: to get one, begin again"
}

// typedCode returns the code without spaces: people type codes as they read them, "123 456".
func typedCode(given agent.Answers) (code, problem string) {
	code = strings.Join(strings.Fields(given["code"].Reveal()), "")
	if code == "" {
		return "", "no code was given"
	}
	return code, ""
}

// maxNames is the longest list of names that is accepted.
const maxNames = 50

// parseNames reads a list of names, which Cognito sends as JSON in a parameter.
func parseNames(list string) ([]string, error) {
	var names []string
	if list != "" {
		if err := json.Unmarshal([]byte(list), &names); err != nil {
			return nil, fmt.Errorf("its list is not JSON")
		}
	}
	if len(names) > maxNames {
		return nil, fmt.Errorf("its list has %d entries", len(names))
	}
	return names, nil
}

// printable makes a server's text safe for a prompt on a terminal.
func printable(s string) string { return sanitize.Short(s, 64) }
