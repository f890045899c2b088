package cognito

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A question is how one of Cognito's challenges is put to a person and answered.
// One more kind of challenge is one more entry of questions.
type question struct {
	// prompt makes the prompt and the inputs of a challenge, or says what is wrong with it.
	prompt func(s step) (prompt string, inputs []agent.Field, err error)
	// responses makes ChallengeResponses of what the person typed, all but USERNAME; or
	// says what is wrong with that, and the person is asked again.
	responses func(s step, given agent.Answers) (responses map[string]string, problem string)
	// problems says, for each error code (or code/reason) after which the same session
	// takes another answer, what to tell the person. Any other ends the sign-in.
	problems map[string]string
}

// problemFor is what to tell the person after a failure; empty when there is no other
// answer to give. A reason counts as its code alone only where it is about the answer.
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

// questions are the challenges that a question answers. What each asks for in
// ChallengeResponses is in the API reference of RespondToAuthChallenge.
var questions = map[types.ChallengeNameType]question{
	types.ChallengeNameTypeSoftwareTokenMfa:    oneTimeCode("SOFTWARE_TOKEN_MFA_CODE", "Code from your authenticator app", "FRIENDLY_DEVICE_NAME"),
	types.ChallengeNameTypeSmsMfa:              oneTimeCode("SMS_MFA_CODE", "Code sent by SMS", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeSmsOtp:              oneTimeCode("SMS_OTP_CODE", "Code sent by SMS", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeEmailOtp:            oneTimeCode("EMAIL_OTP_CODE", "Code sent by e-mail", "CODE_DELIVERY_DESTINATION"),
	types.ChallengeNameTypeSelectMfaType:       {prompt: mfaTypePrompt, responses: mfaTypeResponses},
	types.ChallengeNameTypeNewPasswordRequired: {prompt: newPasswordPrompt, responses: newPasswordResponses, problems: passwordProblems},
	types.ChallengeNameTypeCustomChallenge:     {prompt: customPrompt, responses: customResponses},
}

// challengePattern is what a ChallengeName may look like in an error.
var challengePattern = regexp.MustCompile(`^[A-Z_]{1,64}$`)

// promptUntilAccepted puts c to the person until try has no problem with what they typed. try may
// change c for the next time.
func (o *operation) promptUntilAccepted(ctx context.Context, c *agent.Challenge, try func(agent.Answers) (problem string, err error)) error {
	for range maxAnswers {
		given, err := o.ask(ctx, *c)
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

// askQuestion puts a challenge to the person until Cognito takes the answer. A wrong one
// leaves the session as it was, so the next goes to the same.
func (si *signIn) askQuestion(ctx context.Context, q question, s step) (next step, err error) {
	c, err := si.newChallenge(q, s)
	if err != nil {
		return step{}, err
	}
	err = si.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (string, error) {
		responses, problem := q.responses(s, given)
		if problem != "" {
			return problem, nil
		}
		var fail *failure
		if next, fail = si.respond(ctx, s, responses); fail == nil {
			si.noteNewPassword(responses)
			return "", nil
		}
		if problem := problemFor(q.problems, fail); problem != "" {
			return problem, nil
		}
		return "", si.challengeError(answerMapping, s, fail)
	})
	si.lastAnswered = s
	return next, err
}

// newChallenge makes the first form of the question that the person gets. A pool's own
// question that was not answered rightly comes again as if it were the next.
func (si *signIn) newChallenge(q question, s step) (agent.Challenge, error) {
	prompt, inputs, err := q.prompt(s)
	if err != nil {
		return agent.Challenge{}, si.op.malformedChallenge(s, err)
	}
	c := agent.Challenge{Environment: si.op.env.Name, Name: string(s.challenge), Prompt: prompt, Fields: inputs}
	if s.challenge == si.lastAnswered.challenge && maps.Equal(s.params, si.lastAnswered.params) {
		c.Problem = "the same is asked once more"
	}
	return c, nil
}

// noteNewPassword remembers a password that was set on the way, for whatever still
// needs the password.
func (si *signIn) noteNewPassword(responses map[string]string) {
	if password := responses["NEW_PASSWORD"]; password != "" {
		si.password, si.passwordChanged = agent.NewSecret(password), true
	}
}

// respond answers a challenge.
func (si *signIn) respond(ctx context.Context, s step, responses map[string]string) (step, *failure) {
	next, fail := si.respondOnce(ctx, s, responses)
	if fail != nil && si.dropUnknownDevice(fail) {
		return si.respondOnce(ctx, s, responses)
	}
	return next, fail
}

func (si *signIn) respondOnce(ctx context.Context, s step, responses map[string]string) (step, *failure) {
	send := maps.Clone(responses)
	send["USERNAME"] = s.user
	si.addDeviceKey(send)
	si.op.addSecretHash(send, s.user)
	out, x, fail := invoke(ctx, si.op, "RespondToAuthChallenge", func(ctx context.Context) (*cip.RespondToAuthChallengeOutput, error) {
		return si.op.api.RespondToAuthChallenge(ctx, &cip.RespondToAuthChallengeInput{
			ChallengeName:      s.challenge,
			ClientId:           aws.String(si.op.env.ClientID),
			Session:            s.session,
			ChallengeResponses: send,
		})
	})
	if fail != nil {
		return step{}, fail
	}
	return step{
		result: out.AuthenticationResult, challenge: out.ChallengeName, params: out.ChallengeParameters,
		session: out.Session, user: usernameFor(out.ChallengeParameters, s.user), x: x,
	}, nil
}

// oneTimeCode is a challenge for a code; detail is the parameter that says where it
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
			return map[string]string{response: code}, problem
		},
		problems: map[string]string{
			"CodeMismatchException":     "wrong code",
			"ExpiredCodeException":      "that code has expired or was used before: wait for the next one",
			"InvalidParameterException": "Cognito takes that for no code at all",
		},
	}
}

// typedCode is the code that was typed. People type codes as they read them: "123 456".
func typedCode(given agent.Answers) (code, problem string) {
	code = strings.Join(strings.Fields(given["code"].Reveal()), "")
	if code == "" {
		return "", "no code was given"
	}
	return code, ""
}

// parseNames reads a list of names, which Cognito puts into parameters as JSON.
func parseNames(list string, pattern *regexp.Regexp, least int) ([]string, error) {
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

// printable is a server's text as a prompt shows it.
func printable(s string) string { return sanitize.Short(s, 64) }
