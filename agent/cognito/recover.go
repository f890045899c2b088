package cognito

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/legaltalent/kyc-agent/agent"
)

// An action mends an account.
type action struct {
	command string // of the terminal, for hints; the environment's name follows
	run     func(*task, context.Context, agent.RecoverRequest) error
}

var actions = map[agent.RecoverAction]action{
	agent.RecoverReset:   {"kyc-agentd password reset ", (*task).recoverByReset},
	agent.RecoverChange:  {"kyc-agentd password change ", (*task).recoverByChange},
	agent.RecoverConfirm: {"kyc-agentd confirm ", (*task).recoverByConfirm},
	agent.RecoverResend:  {"kyc-agentd confirm --resend ", (*task).recoverByResend},
}

// Recover mends an account. A sign-in that is made for it does not outlive it.
func (a *Authenticator) Recover(ctx context.Context, env agent.Environment, req agent.RecoverRequest, ask agent.Prompter) error {
	t, err := a.begin("recover", env)
	if err != nil {
		return err
	}
	act, ok := actions[req.Action]
	if !ok || req.Username == "" {
		return t.errorf(agent.CodeUsage, "run: kyc-agentd help", "there is no account to mend, or no such way")
	}
	t.ask, t.command = ask, act.command+env.Name
	return act.run(t, ctx, req)
}

func (t *task) recoverByReset(ctx context.Context, req agent.RecoverRequest) error {
	r := &reset{op: t, user: req.Username}
	if err := r.send(ctx); err != nil {
		return err
	}
	return r.run(ctx)
}

func (t *task) recoverByConfirm(ctx context.Context, req agent.RecoverRequest) error {
	return (&confirmation{op: t, user: req.Username}).run(ctx, "")
}

func (t *task) recoverByResend(ctx context.Context, req agent.RecoverRequest) error {
	return (&confirmation{op: t, user: req.Username}).send(ctx)
}

// recoverByChange signs in with the present password, for Cognito wants an access token,
// and ends that sign-in afterwards. Where a new password is set on the way
// in, that was the change.
func (t *task) recoverByChange(ctx context.Context, req agent.RecoverRequest) error {
	si, err := t.signIn(agent.LoginRequest{Username: req.Username, Password: req.Password})
	if err != nil {
		return err
	}
	s, err := si.run(ctx)
	if err != nil {
		return err
	}
	defer t.discard(ctx, agent.SignIn{RefreshToken: agent.NewSecret(aws.ToString(s.result.RefreshToken))})
	if si.changed {
		return nil
	}
	return si.changePassword(ctx, s)
}

func (si *signIn) changePassword(ctx context.Context, s step) error {
	c := agent.Challenge{Environment: si.op.env.Name, Name: "CHANGE_PASSWORD", Prompt: "The new password", Fields: newPasswordInputs()}
	return si.op.converse(ctx, &c, func(given agent.Answers) (string, error) {
		password, problem := newPasswordOf(given)
		if problem != "" {
			return problem, nil
		}
		_, _, fail := invoke(ctx, si.op, "ChangePassword", func(ctx context.Context) (*cip.ChangePasswordOutput, error) {
			return si.op.api.ChangePassword(ctx, &cip.ChangePasswordInput{
				AccessToken:      s.result.AccessToken,
				PreviousPassword: aws.String(si.password.Reveal()),
				ProposedPassword: aws.String(password.Reveal()),
			})
		})
		return si.op.outcome(atChange, passwordProblems, fail)
	})
}

// outcome is what a call that a person's answer made comes to: no problem, one that
// another answer may mend, or the end.
func (t *task) outcome(p phase, problems map[string]string, fail *failure) (problem string, err error) {
	if fail == nil {
		return "", nil
	}
	if problem := problemOf(problems, fail); problem != "" {
		return problem, nil
	}
	return "", t.failed(p, fail)
}
