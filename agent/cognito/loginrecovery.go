package cognito

import (
	"context"
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
)

// recoveries are the errors of a sign-in after which the account can be recovered at once, if
// there is a person who agrees.
var recoveries = map[string]func(*signIn, context.Context) error{
	"PasswordResetRequiredException": (*signIn).offerReset,
	"UserNotConfirmedException":      (*signIn).offerConfirmation,
}

// errDeclined means that nobody was asked, or that the person declined.
var errDeclined = errors.New("recovery declined")

// recoverAccount offers to recover the account after err, and reports whether the sign-in can
// be tried again. If not, *err is the error to return: that of the recovery, or, if it was
// declined, the original error, whose hint says how to recover the account later.
func (si *signIn) recoverAccount(ctx context.Context, err *error) bool {
	fail, ok := errors.AsType[*failure](*err)
	if !ok || fail.Status >= 500 || recoveries[fail.Code] == nil || si.recovered[fail.Code] {
		return false
	}
	si.recovered[fail.Code] = true
	recoverErr := recoveries[fail.Code](si, ctx)
	if recoverErr != nil && !errors.Is(recoverErr, errDeclined) {
		*err = recoverErr
	}
	return recoverErr == nil
}

// offerReset offers to set a new password. If an administrator requested the reset, Cognito
// has sent a code already; for an imported account it has not.
func (si *signIn) offerReset(ctx context.Context) error {
	answer, err := si.offerRecovery(ctx, "PASSWORD_RESET_REQUIRED",
		"The password of this account must be reset: enter the code that Cognito sent for that, or yes to be sent one", "Code, yes or no")
	if err != nil {
		return err
	}
	r := &passwordReset{op: si.op, user: si.user, code: answer}
	if isYes(answer) || strings.EqualFold(answer, resendWord) {
		err = r.sendCode(ctx)
	}
	if err == nil {
		err = r.promptForPassword(ctx)
	}
	if err == nil {
		si.password, si.passwordChanged = r.password, true
	}
	return err
}

// offerConfirmation offers to confirm the account.
func (si *signIn) offerConfirmation(ctx context.Context) error {
	conf := &confirmation{op: si.op, user: si.user}
	challenge := conf.challenge()
	answer, err := si.offerRecovery(ctx, challenge.Name, challenge.Prompt, "Code, "+resendWord+" or no")
	if err != nil {
		return err
	}
	if isYes(answer) {
		answer = ""
	}
	return conf.promptForCode(ctx, answer)
}

// offerRecovery asks whether to recover the account. No answer means no, unless ctx has ended.
func (si *signIn) offerRecovery(ctx context.Context, name, prompt, label string) (answer string, err error) {
	c := agent.Challenge{Environment: si.op.env.Name, Name: name, Prompt: prompt, Fields: []agent.Field{{Name: "code", Label: label}}}
	err = si.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (problem string, _ error) {
		answer, problem = typedCode(given)
		return problem, nil
	})
	if ctx.Err() == nil && (err != nil || isNo(answer)) {
		err = errDeclined
	}
	return answer, err
}

func isYes(s string) bool { return strings.EqualFold(s, "yes") || strings.EqualFold(s, "y") }

func isNo(s string) bool { return strings.EqualFold(s, "no") || strings.EqualFold(s, "n") }
