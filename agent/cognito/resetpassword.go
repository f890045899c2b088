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

// resendWord is what a person types in the place of a code to be sent another.
const resendWord = "resend"

// A passwordReset sets a new password by a code that Cognito sends.
type passwordReset struct {
	op       *operation
	user     string
	sentTo   string       // " by e-mail to a***@e***", once a code was sent
	code     string       // known from before, or taken already; else empty
	password agent.Secret // the new one, in the end
}

// sendCode has a code sent.
func (r *passwordReset) sendCode(ctx context.Context) error {
	out, _, fail := invoke(ctx, r.op, "ForgotPassword", func(ctx context.Context) (*cip.ForgotPasswordOutput, error) {
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

// deliveryText says where a code went.
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

// promptForPassword asks for the code and a new password until Cognito takes both.
func (r *passwordReset) promptForPassword(ctx context.Context) error {
	c := agent.Challenge{Environment: r.op.env.Name, Name: "RESET_PASSWORD"}
	r.updateChallenge(&c)
	return r.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (string, error) {
		defer r.updateChallenge(&c)
		return r.tryAnswer(ctx, given)
	})
}

// updateChallenge makes c ask for what is not known yet.
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

// setPassword sets the new password. A code that Cognito did not take is forgotten; one beside
// a password that it did not take goes on to be good.
func (r *passwordReset) setPassword(ctx context.Context, password agent.Secret) (problem string, err error) {
	_, _, fail := invoke(ctx, r.op, "ConfirmForgotPassword", func(ctx context.Context) (*cip.ConfirmForgotPasswordOutput, error) {
		return r.op.api.ConfirmForgotPassword(ctx, &cip.ConfirmForgotPasswordInput{
			ClientId: aws.String(r.op.env.ClientID), Username: aws.String(r.user), SecretHash: optional(r.op.secretHash(r.user)),
			ConfirmationCode: aws.String(r.code), Password: aws.String(password.Reveal()),
		})
	})
	if fail == nil {
		r.password = password
	} else if passwordProblems[fail.Code] == "" || fail.Code == "InvalidParameterException" {
		r.code = ""
	}
	return r.op.problemOrError(resetPasswordMapping, resetProblems, fail)
}

// sentCodeProblems are what can be wrong with a code that mends an account. Of a
// code that was never sent Cognito says that it has expired, lest it told who exists.
var sentCodeProblems = map[string]string{
	"CodeMismatchException": "wrong code",
	"ExpiredCodeException":  "that code has expired or was used before; for another one, type: " + resendWord,
}

var resetProblems = merged(passwordProblems, sentCodeProblems)

func merged(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
