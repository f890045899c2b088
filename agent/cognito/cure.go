package cognito

import (
	"context"
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
)

// cures are the errors of a sign-in after which the account can be mended on the
// spot, if there is a person who wants that.
var cures = map[string]func(*signIn, context.Context) error{
	"PasswordResetRequiredException": (*signIn).cureByReset,
	"UserNotConfirmedException":      (*signIn).cureByConfirm,
}

// errUnwanted says that nobody is there, or that they do not want it.
var errUnwanted = errors.New("not mended")

// cure mends the account after err, and reports whether the sign-in may be tried again.
// If not, err is what to return: where nobody wants it, the error that there was, whose hint
// says what to do another time.
func (si *signIn) cure(ctx context.Context, err *error) bool {
	fail, ok := errors.AsType[*failure](*err)
	if !ok || fail.Status >= 500 || cures[fail.Code] == nil || si.cured[fail.Code] {
		return false
	}
	si.cured[fail.Code] = true
	mended := cures[fail.Code](si, ctx)
	if mended != nil && !errors.Is(mended, errUnwanted) {
		*err = mended
	}
	return mended == nil
}

// cureByReset sets a new password. Where an administrator asked for the reset, there is a
// code already; where the account came from somewhere else, there is none.
func (si *signIn) cureByReset(ctx context.Context) error {
	answer, err := si.offer(ctx, "PASSWORD_RESET_REQUIRED",
		"The password of this account must be reset: the code that Cognito sent for that, or yes to be sent one", "Code, yes or no")
	if err != nil {
		return err
	}
	r := &reset{op: si.op, user: si.user, code: answer}
	if yes(answer) || strings.EqualFold(answer, resend) {
		err = r.send(ctx)
	}
	if err == nil {
		err = r.run(ctx)
	}
	if err == nil {
		si.password, si.changed = r.password, true
	}
	return err
}

// cureByConfirm confirms the account.
func (si *signIn) cureByConfirm(ctx context.Context) error {
	n := &confirmation{op: si.op, user: si.user}
	c := n.form()
	answer, err := si.offer(ctx, c.Name, c.Prompt, "Code, "+resend+" or no")
	if err != nil {
		return err
	}
	if yes(answer) {
		answer = ""
	}
	return n.run(ctx, answer)
}

// offer asks whether the account shall be mended. No answer is a no, unless ctx has
// ended.
func (si *signIn) offer(ctx context.Context, name, prompt, label string) (answer string, err error) {
	c := agent.Challenge{Environment: si.op.env.Name, Name: name, Prompt: prompt, Fields: []agent.Field{{Name: "code", Label: label}}}
	err = si.op.converse(ctx, &c, func(given agent.Answers) (problem string, _ error) {
		answer, problem = codeOf(given)
		return problem, nil
	})
	if ctx.Err() == nil && (err != nil || no(answer)) {
		err = errUnwanted
	}
	return answer, err
}

func yes(s string) bool { return strings.EqualFold(s, "yes") || strings.EqualFold(s, "y") }

func no(s string) bool { return strings.EqualFold(s, "no") || strings.EqualFold(s, "n") }
