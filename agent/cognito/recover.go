package cognito

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/legaltalent/kyc-agent/agent"
)

// A recoverAction recovers an account.
type recoverAction struct {
	command string // the command line without the environment's name, for hints
	run     func(*operation, context.Context, agent.RecoverRequest) error
}

var recoverActions = map[agent.RecoverAction]recoverAction{
	agent.RecoverReset:   {"kyc-agentd password reset ", (*operation).recoverByReset},
	agent.RecoverChange:  {"kyc-agentd password change ", (*operation).recoverByChange},
	agent.RecoverConfirm: {"kyc-agentd confirm ", (*operation).recoverByConfirm},
	agent.RecoverResend:  {"kyc-agentd confirm --resend ", (*operation).recoverByResend},
}

// Recover recovers an account. If that needs a sign-in, the sign-in is revoked afterwards.
func (a *Authenticator) Recover(ctx context.Context, env agent.Environment, req agent.RecoverRequest, ask agent.Prompter) error {
	o, err := a.newOperation("recover", env)
	if err != nil {
		return err
	}
	act, ok := recoverActions[req.Action]
	if !ok || strings.TrimSpace(req.Username) == "" {
		return o.errorf(agent.CodeUsage, "run: kyc-agentd help", "no user name was given, or the action is unknown")
	}
	o.ask, o.command = ask, act.command+env.Name
	if req.Username, err = o.checkUsername(req.Username); err != nil {
		return err
	}
	return act.run(o, ctx, req)
}

func (o *operation) recoverByReset(ctx context.Context, req agent.RecoverRequest) error {
	r := &passwordReset{op: o, user: req.Username}
	if err := r.sendCode(ctx); err != nil {
		return err
	}
	return r.promptForPassword(ctx)
}

func (o *operation) recoverByConfirm(ctx context.Context, req agent.RecoverRequest) error {
	return (&confirmation{op: o, user: req.Username}).promptForCode(ctx, "")
}

func (o *operation) recoverByResend(ctx context.Context, req agent.RecoverRequest) error {
	return (&confirmation{op: o, user: req.Username}).resendCode(ctx)
}

// recoverByChange changes the password. Cognito requires an access token for that, so it signs
// in with the current password and revokes the sign-in afterwards. If a new password was
// already set during the sign-in, that was the change.
func (o *operation) recoverByChange(ctx context.Context, req agent.RecoverRequest) error {
	si, err := o.newSignIn(agent.LoginRequest{Username: req.Username, Password: req.Password})
	if err != nil {
		return err
	}
	s, err := si.run(ctx)
	if err != nil {
		return err
	}
	defer o.discard(ctx, agent.SignIn{RefreshToken: agent.NewSecret(aws.ToString(s.result.RefreshToken))})
	if si.passwordChanged {
		return nil
	}
	return si.changePassword(ctx, s)
}

func (si *signIn) changePassword(ctx context.Context, s step) error {
	c := agent.Challenge{Environment: si.op.env.Name, Name: "CHANGE_PASSWORD", Prompt: "The new password", Fields: newPasswordFields()}
	return si.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (string, error) {
		password, problem := typedNewPassword(given)
		if problem != "" {
			return problem, nil
		}
		_, _, fail := invokeWithTries(ctx, si.op, "ChangePassword", func(ctx context.Context) (*cip.ChangePasswordOutput, error) {
			return si.op.api.ChangePassword(ctx, &cip.ChangePasswordInput{
				AccessToken:      s.result.AccessToken,
				PreviousPassword: aws.String(si.password.Reveal()),
				ProposedPassword: aws.String(password.Reveal()),
			})
		})
		if fail != nil && fail.mayBeDone && fail.Code == "NotAuthorizedException" && fail.reason != reasonDisabled {
			return "", si.op.errorFrom(passwordMayBeSet, fail) // the sign-in with the current one succeeded
		}
		return si.op.problemOrError(changePasswordMapping, passwordProblems, fail)
	})
}

// problemOrError interprets the result of a call that was made with a person's answer. A
// problem can be solved by another answer; an error ends the operation; neither means success.
func (o *operation) problemOrError(table mappingTable, problems map[string]string, fail *failure) (problem string, err error) {
	if fail == nil {
		return "", nil
	}
	if problem := problemFor(problems, fail); problem != "" {
		o.learnRule(fail)
		return problem, nil
	}
	return "", o.errorFor(table, fail)
}
