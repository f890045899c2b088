package cognito

import (
	"context"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
)

// resendWord is what a person types instead of a code to request another one.
const resendWord = "resend"

// A passwordReset sets a new password, with a code that Cognito sends.
type passwordReset struct {
	op       *operation
	user     string
	sentTo   string       // " by e-mail to a***@e***", after a code was sent
	code     string       // given before the first prompt, or accepted already; else empty
	password agent.Secret // the new one, once it is set
}

// sendCode requests a code.
func (r *passwordReset) sendCode(ctx context.Context) error {
	out, _, fail := invokeWithTries(ctx, r.op, "ForgotPassword", func(ctx context.Context) (*cip.ForgotPasswordOutput, error) {
		return r.op.api.ForgotPassword(ctx, &cip.ForgotPasswordInput{
			ClientId: aws.String(r.op.env.ClientID), Username: aws.String(r.user), SecretHash: optional(r.op.secretHash(r.user)),
		})
	})
	if fail != nil {
		return r.op.errorFor(forgotPasswordMapping, fail)
	}
	r.sentTo, r.code = deliveryText(out.CodeDeliveryDetails), ""
	return nil
}

// deliveryText says where a code was sent.
func deliveryText(d *types.CodeDeliveryDetailsType) string {
	if d == nil {
		return ""
	}
	by := map[types.DeliveryMediumType]string{
		types.DeliveryMediumTypeEmail: " by e-mail", types.DeliveryMediumTypeSms: " by SMS",
	}[d.DeliveryMedium]
	if to := printable(aws.ToString(d.Destination)); to != "" {
		by += " to " + to
	}
	return by
}

// promptForPassword asks for the code and a new password until Cognito accepts both.
func (r *passwordReset) promptForPassword(ctx context.Context) error {
	c := agent.Challenge{Environment: r.op.env.Name, Name: "RESET_PASSWORD"}
	r.updateChallenge(&c)
	return r.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (string, error) {
		defer r.updateChallenge(&c)
		return r.tryAnswer(ctx, given)
	})
}

// updateChallenge makes c ask for what is still missing.
func (r *passwordReset) updateChallenge(c *agent.Challenge) {
	c.Prompt, c.Fields = "The new password", newPasswordFields()
	if r.code == "" {
		c.Prompt = "Code sent" + r.sentTo + ", and a new password (for another code, type: " + resendWord + ")"
		c.Fields = append([]agent.Field{{Name: "code", Label: "Code"}}, c.Fields...)
	}
}

func (r *passwordReset) tryAnswer(ctx context.Context, given agent.Answers) (problem string, err error) {
	if r.code == "" {
		code, problem := typedCode(given)
		if problem != "" {
			return problem, nil
		}
		if strings.EqualFold(code, resendWord) {
			return "another code was sent", r.sendCode(ctx)
		}
		r.code = code
	}
	password, problem := typedNewPassword(given)
	if problem != "" {
		return problem, nil
	}
	return r.setPassword(ctx, password)
}

// setPassword sets the new password. If Cognito refuses the code, the code is dropped; if it
// refuses the password, the code stays valid.
func (r *passwordReset) setPassword(ctx context.Context, password agent.Secret) (problem string, err error) {
	_, _, fail := invokeWithTries(ctx, r.op, "ConfirmForgotPassword", func(ctx context.Context) (*cip.ConfirmForgotPasswordOutput, error) {
		return r.op.api.ConfirmForgotPassword(ctx, &cip.ConfirmForgotPasswordInput{
			ClientId: aws.String(r.op.env.ClientID), Username: aws.String(r.user), SecretHash: optional(r.op.secretHash(r.user)),
			ConfirmationCode: aws.String(r.code), Password: aws.String(password.Reveal()),
		})
	})
	if fail != nil && fail.mayBeDone && sentCodeProblems[fail.Code] != "" {
		return "", r.op.errorFrom(passwordMayBeSet, fail) // each code is taken once
	}
	if fail == nil {
		r.password = password
	} else if passwordProblems[fail.Code] == "" || fail.Code == "InvalidParameterException" && fail.reason != reasonForm {
		r.code = ""
	}
	return r.op.problemOrError(resetPasswordMapping, resetProblems, fail)
}

// sentCodeProblems are the reasons for which Cognito refuses a code of account recovery. For a
// user who does not exist it says that the code has expired, so as not to reveal that.
var sentCodeProblems = map[string]string{
	"CodeMismatchException": "wrong code",
	"ExpiredCodeException":  "that code has expired or was used before; for another one, type: " + resendWord,
}

var resetProblems = merged(passwordProblems, sentCodeProblems)

func merged[M ~map[string]V, V any](a, b M) M {
	m := M{}
	maps.Copy(m, a)
	maps.Copy(m, b)
	return m
}
