package cognito

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/legaltalent/kyc-agent/agent"
)

// A confirmation confirms a new account by the code that was sent when it was made.
type confirmation struct {
	op    *task
	user  string
	where string // " by e-mail to a***@e***", once another code was sent
}

// send has another code sent. The one before is good no more.
func (n *confirmation) send(ctx context.Context) error {
	out, _, fail := invoke(ctx, n.op, "ResendConfirmationCode", func(ctx context.Context) (*cip.ResendConfirmationCodeOutput, error) {
		return n.op.api.ResendConfirmationCode(ctx, &cip.ResendConfirmationCodeInput{
			ClientId: aws.String(n.op.env.ClientID), Username: aws.String(n.user), SecretHash: optional(n.op.secretHash(n.user)),
		})
	})
	if fail != nil {
		return n.op.failed(atResend, fail)
	}
	n.where = delivered(out.CodeDeliveryDetails)
	return nil
}

// run asks for the code until Cognito takes it. first is tried before, where there is
// one already.
func (n *confirmation) run(ctx context.Context, first string) error {
	c := n.form()
	if first != "" {
		problem, err := n.try(ctx, first)
		if err != nil || problem == "" {
			return err
		}
		c = n.form()
		c.Problem = problem
	}
	return n.op.converse(ctx, &c, func(given agent.Answers) (string, error) {
		code, problem := codeOf(given)
		if problem == "" {
			problem, err := n.try(ctx, code)
			c = n.form()
			return problem, err
		}
		return problem, nil
	})
}

// try takes what was typed for a code.
func (n *confirmation) try(ctx context.Context, code string) (problem string, err error) {
	if strings.EqualFold(code, resend) {
		return "another code was sent", n.send(ctx)
	}
	return n.op.outcome(atConfirm, confirmProblems, n.confirm(ctx, code))
}

func (n *confirmation) form() agent.Challenge {
	return agent.Challenge{
		Environment: n.op.env.Name, Name: "CONFIRM_SIGN_UP",
		Prompt: "The account is not confirmed yet: the code that Cognito sent" + n.where + " (for another one, type: " + resend + ")",
		Fields: []agent.Field{{Name: "code", Label: "Code"}},
	}
}

func (n *confirmation) confirm(ctx context.Context, code string) *failure {
	_, _, fail := invoke(ctx, n.op, "ConfirmSignUp", func(ctx context.Context) (*cip.ConfirmSignUpOutput, error) {
		return n.op.api.ConfirmSignUp(ctx, &cip.ConfirmSignUpInput{
			ClientId: aws.String(n.op.env.ClientID), Username: aws.String(n.user), SecretHash: optional(n.op.secretHash(n.user)),
			ConfirmationCode: aws.String(code),
		})
	})
	return fail
}

var confirmProblems = merged(sentCodeProblems, map[string]string{"InvalidParameterException": "Cognito takes that for no code at all"})
