package cognito

import (
	"context"
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
)

// recoveries are the errors of a sign-in after which the account can be mended on the
// spot, if there is a person who wants that.
var recoveries = map[string]func(*signIn, context.Context) error{
	"PasswordResetRequiredException": (*signIn).offerReset,
	"UserNotConfirmedException":      (*signIn).offerConfirmation,
}

// errDeclined says that nobody is there, or that they do not want it.
var errDeclined = errors.New("not mended")

// recoverAccount mends the account after err, and reports whether the sign-in may be tried again.
// If not, err is what to return: where nobody wants it, the error that there was, whose hint
// says what to do another time.
func (si *signIn) recoverAccount(ctx context.Context, err *error) bool {
	fail, ok := errors.AsType[*failure](*err)
	if !ok || fail.Status >= 500 || recoveries[fail.Code] == nil || si.recovered[fail.Code] {
		return false
	}
	si.recovered[fail.Code] = true
	declined := recoveries[fail.Code](si, ctx)
	if declined != nil && !errors.Is(declined, errDeclined) {
		*err = declined
	}
	return declined == nil
}

// offerReset sets a new password. Where an administrator asked for the reset, there is a
// code already; where the account came from somewhere else, there is none.
func (si *signIn) offerReset(ctx context.Context) error {
	answer, err := si.offerRecovery(ctx, "PASSWORD_RESET_REQUIRED",
		"The password of this account must be reset: the code that Cognito sent for that, or yes to be sent one", "Code, yes or no")
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

// offerConfirmation confirms the account.
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

// offerRecovery asks whether the account shall be mended. No answer is a no, unless ctx has
// ended.
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
