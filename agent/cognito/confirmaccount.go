package cognito

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/legaltalent/kyc-agent/agent"
)

// A confirmation confirms a new account, with the code that was sent when it was created.
type confirmation struct {
	op     *operation
	user   string
	sentTo string // " by e-mail to a***@e***", after another code was sent
}

// resendCode requests another code, which invalidates the previous one.
func (conf *confirmation) resendCode(ctx context.Context) error {
	out, _, fail := invokeWithTries(ctx, conf.op, "ResendConfirmationCode", func(ctx context.Context) (*cip.ResendConfirmationCodeOutput, error) {
		return conf.op.api.ResendConfirmationCode(ctx, &cip.ResendConfirmationCodeInput{
			ClientId: aws.String(conf.op.env.ClientID), Username: aws.String(conf.user), SecretHash: optional(conf.op.secretHash(conf.user)),
		})
	})
	if fail != nil {
		return conf.op.errorFor(resendMapping, fail)
	}
	conf.sentTo = deliveryText(out.CodeDeliveryDetails)
	return nil
}

// promptForCode asks for the code until Cognito accepts it. If first is not empty, it is tried
// before anything is asked.
func (conf *confirmation) promptForCode(ctx context.Context, first string) error {
	c := conf.challenge()
	if first != "" {
		problem, err := conf.tryAnswer(ctx, first)
		if err != nil || problem == "" {
			return err
		}
		c = conf.challenge()
		c.Problem = problem
	}
	return conf.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (string, error) {
		code, problem := typedCode(given)
		if problem == "" {
			problem, err := conf.tryAnswer(ctx, code)
			c = conf.challenge()
			return problem, err
		}
		return problem, nil
	})
}

// tryAnswer sends what was typed as the code, or requests another code.
func (conf *confirmation) tryAnswer(ctx context.Context, code string) (problem string, err error) {
	if strings.EqualFold(code, resendWord) {
		return "another code was sent", conf.resendCode(ctx)
	}
	return conf.op.problemOrError(confirmMapping, confirmProblems, conf.confirm(ctx, code))
}

func (conf *confirmation) challenge() agent.Challenge {
	return agent.Challenge{
		Environment: conf.op.env.Name, Name: "CONFIRM_SIGN_UP",
		Prompt: "The account is not confirmed yet: enter the code that Cognito sent" + conf.sentTo + " (for another one, type: " + resendWord + ")",
		Fields: []agent.Field{{Name: "code", Label: "Code"}},
	}
}

func (conf *confirmation) confirm(ctx context.Context, code string) *failure {
	_, _, fail := invokeWithTries(ctx, conf.op, "ConfirmSignUp", func(ctx context.Context) (*cip.ConfirmSignUpOutput, error) {
		return conf.op.api.ConfirmSignUp(ctx, &cip.ConfirmSignUpInput{
			ClientId: aws.String(conf.op.env.ClientID), Username: aws.String(conf.user), SecretHash: optional(conf.op.secretHash(conf.user)),
			ConfirmationCode: aws.String(code),
		})
	})
	if fail != nil && fail.mayBeDone && mappingOf(confirmMapping, fail) == alreadyConfirmed {
		return nil
	}
	return fail
}

var confirmProblems = merged(sentCodeProblems, map[string]string{"InvalidParameterException": "Cognito does not accept that as a code"})
