package cognito_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	next      = "longer than that"
	passwords = "new_password* new_password_again*"
)

// typed returns the answers to a form: name, value, name, value.
func typed(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func request(action agent.RecoverAction) agent.RecoverRequest {
	return agent.RecoverRequest{Environment: "prod", Action: action, Username: username, Password: agent.NewSecret(password)}
}

func TestRecover(t *testing.T) {
	reset, change, confirm := "RESET_PASSWORD", "CHANGE_PASSWORD", "CONFIRM_SIGN_UP"
	form := "code " + passwords
	tests := []struct {
		name     string
		action   agent.RecoverAction
		settings []cognitotest.Setting
		flow     agent.AuthFlow
		user     func(*cognitotest.User)
		turns    []turn
		password string // that works afterwards
		ops      string
	}{
		{name: "reset", action: agent.RecoverReset, password: next, turns: []turn{
			{reset, "Code sent by e-mail to a***@e***, and a new password (for another code, type: resend)", "", form, typed("code", "123 456", "new_password", next, "new_password_again", next)},
		}, ops: "ForgotPassword ConfirmForgotPassword"},
		{name: "reset, by SMS", action: agent.RecoverReset, password: next,
			user: func(u *cognitotest.User) { u.Email, u.Phone = "", "+15551234567" },
			turns: []turn{
				{reset, "Code sent by SMS to +*******4567", "", form, typed("code", "123456", "new_password", next)},
			}},
		{name: "reset, all that can be typed wrong", action: agent.RecoverReset, password: "Longer than 1 that!",
			settings: []cognitotest.Setting{cognitotest.Passwords(cognitotest.PasswordPolicy{MinLength: 8, Uppercase: true, Digits: true, Symbols: true, History: 2})},
			turns: []turn{
				{reset, "", "", form, typed("new_password", next)},
				{reset, "", "no code was given", form, typed("code", "000000", "new_password", next)},
				{reset, "", "wrong code", form, typed("code", "123456")},
				{reset, "The new password", "no new password was given", passwords, typed("new_password", next, "new_password_again", "other")},
				{reset, "", "not the same", passwords, typed("new_password", "short")},
				{reset, "", "shorter than the user pool's rules", passwords, typed("new_password", "longer than that")},
				{reset, "", "an upper-case letter", passwords, typed("new_password", "Longer than that")},
				{reset, "", "ask for a digit", passwords, typed("new_password", "Longer1thanthat")},
				{reset, "", "ask for a symbol", passwords, typed("new_password", "Longer than 1 that!")},
			}},
		{name: "reset, the password of before", action: agent.RecoverReset, password: next,
			settings: []cognitotest.Setting{cognitotest.Passwords(cognitotest.PasswordPolicy{MinLength: 8, History: 3})},
			turns: []turn{
				{reset, "", "", form, typed("code", "123456", "new_password", password)},
				{reset, "", "it was used before", passwords, typed("new_password", next)},
			}},
		{name: "reset, another code", action: agent.RecoverReset, password: next, turns: []turn{
			{reset, "", "", form, typed("code", "Resend")},
			{reset, "", "another code was sent", form, typed("code", "123456", "new_password", next)},
		}, ops: "ForgotPassword ForgotPassword ConfirmForgotPassword"},
		{name: "change", action: agent.RecoverChange, password: next, turns: []turn{
			{change, "The new password", "", passwords, typed("new_password", next, "new_password_again", next)},
		}, ops: "InitiateAuth ChangePassword RevokeToken"},
		{name: "change, with SRP", action: agent.RecoverChange, flow: agent.FlowSRP, password: next, turns: []turn{
			{change, "", "", passwords, typed("new_password", next)},
		}, ops: "InitiateAuth RespondToAuthChallenge ChangePassword RevokeToken"},
		{name: "change, with a code and devices", action: agent.RecoverChange, password: next,
			settings: []cognitotest.Setting{cognitotest.RememberDevices(cognitotest.DevicesAlways)},
			user:     func(u *cognitotest.User) { u.MFA = []string{"EMAIL_OTP"} },
			turns: []turn{
				{"EMAIL_OTP", "", "", "code", code("1")},
				{"EMAIL_OTP", "", "wrong code", "code", code("123456")},
				{change, "", "", passwords, typed("new_password", "short")},
				{change, "", "shorter", passwords, typed("new_password", next)},
			}, ops: "InitiateAuth RespondToAuthChallenge RespondToAuthChallenge ChangePassword ChangePassword RevokeToken"},
		{name: "change of a temporary password", action: agent.RecoverChange, password: next,
			user: func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword },
			turns: []turn{
				{"NEW_PASSWORD_REQUIRED", "", "", passwords, typed("new_password", next)},
			}, ops: "InitiateAuth RespondToAuthChallenge RevokeToken"},
		{name: "change of a password to be reset", action: agent.RecoverChange, password: next,
			user: func(u *cognitotest.User) { u.Status = cognitotest.ResetRequired },
			turns: []turn{
				{"PASSWORD_RESET_REQUIRED", "", "", "code", code("123456")},
				{reset, "The new password", "", passwords, typed("new_password", next)},
			}, ops: "InitiateAuth ConfirmForgotPassword InitiateAuth RevokeToken"},
		{name: "confirm", action: agent.RecoverConfirm, password: password,
			user: func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed },
			turns: []turn{
				{confirm, "the code that Cognito sent (for another one, type: resend)", "", "code", code("")},
				{confirm, "", "no code was given", "code", code("1")},
				{confirm, "", "wrong code", "code", code("resend")},
				{confirm, "the code that Cognito sent by e-mail to a***@e***", "another code was sent", "code", code("123456")},
			}, ops: "ConfirmSignUp ResendConfirmationCode ConfirmSignUp"},
		{name: "resend", action: agent.RecoverResend, ops: "ResendConfirmationCode",
			user: func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			srv.Set(test.settings...)
			if test.user != nil {
				srv.EditUser(username, test.user)
			}
			env := environment(srv)
			env.AuthFlow = test.flow
			a := cognito.New(cognito.Options{})
			if err := a.Recover(t.Context(), env, request(test.action), script(t, test.turns...)); err != nil {
				t.Fatal(err)
			}
			var ops []string
			for _, c := range srv.Log() {
				ops = append(ops, c.Op)
			}
			if got := strings.Join(ops, " "); test.ops != "" && got != test.ops {
				t.Errorf("calls %s, want %s", got, test.ops)
			}
			if test.password == "" {
				return
			}
			u, _ := srv.User(username)
			if u.Password != test.password || u.Status != cognitotest.Confirmed {
				t.Errorf("the password is %q, the state %v", u.Password, u.Status)
			}
		})
	}
}

// A change of password leaves no sign-in behind, even if it fails.
func TestChangeLeavesNoSignIn(t *testing.T) {
	for name, ask := range map[string]agent.Prompter{"done": always(next), "given up": nobodyThere} {
		srv := start(t)
		err := cognito.New(cognito.Options{}).Recover(t.Context(), environment(srv), request(agent.RecoverChange), ask)
		if (err != nil) != (name == "given up") {
			t.Errorf("%s: %v", name, err)
		}
		if srv.SignIns() != 1 || srv.Calls("RevokeToken") != 1 {
			t.Errorf("%s: %d sign-ins, %d revocations", name, srv.SignIns(), srv.Calls("RevokeToken"))
		}
	}
}

func TestRecoverFailures(t *testing.T) {
	limit := cognitotest.Refuse("LimitExceededException", "Attempt limit exceeded, please try after some time.")
	tests := []struct {
		name     string
		action   agent.RecoverAction
		settings []cognitotest.Setting
		user     func(*cognitotest.User)
		op       string
		fault    cognitotest.Fault
		ask      agent.Prompter
		code     agent.Code
		says     string
	}{
		{name: "given up at the reset", action: agent.RecoverReset, ask: nobodyThere,
			code: agent.CodeLoginRequired, says: "prod: given up at RESET_PASSWORD; begin again: run: kyc-agentd password reset prod"},
		{name: "given up at the confirmation", action: agent.RecoverConfirm, ask: nobodyThere, user: func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed },
			code: agent.CodeLoginRequired, says: "given up at CONFIRM_SIGN_UP; begin again: run: kyc-agentd confirm prod"},
		{name: "given up at the change", action: agent.RecoverChange, ask: nobodyThere,
			code: agent.CodeLoginRequired, says: "given up at CHANGE_PASSWORD; begin again: run: kyc-agentd password change prod"},
		{name: "unknown user, told", action: agent.RecoverReset, settings: []cognitotest.Setting{cognitotest.HideUnknownUsers(false)},
			op: "ForgotPassword", fault: cognitotest.Refuse("UserNotFoundException", "m"),
			code: agent.CodeLoginRequired, says: "prod: User not found; check the user name, then run: kyc-agentd password reset prod"},
		{name: "disabled", action: agent.RecoverReset, user: func(u *cognitotest.User) { u.Disabled = true },
			code: agent.CodeLoginRequired, says: "this user is disabled"},
		{name: "never used", action: agent.RecoverReset, user: func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword },
			code: agent.CodeDenied, says: "does not reset the password of an account that was never used, or that signs in through another provider"},
		{name: "no address", action: agent.RecoverReset, user: func(u *cognitotest.User) { u.Email = "" },
			code: agent.CodeDenied, says: "no verified e-mail address or phone number"},
		{name: "too often", action: agent.RecoverReset, op: "ForgotPassword", fault: limit,
			code: agent.CodeThrottled, says: "the limit of attempts for this user is reached; wait (an hour at most), then run: kyc-agentd password reset prod"},
		{name: "too many wrong codes", action: agent.RecoverReset, settings: []cognitotest.Setting{cognitotest.AttemptLimit(2)}, ask: always("wrong"),
			code: agent.CodeThrottled, says: "the limit of attempts"},
		{name: "always a wrong code", action: agent.RecoverReset, settings: []cognitotest.Setting{cognitotest.AttemptLimit(100)}, ask: always("wrong"),
			code: agent.CodeLoginRequired, says: "10 answers in a row were refused; begin again: run: kyc-agentd password reset prod"},
		{name: "refused for good", action: agent.RecoverReset, op: "ConfirmForgotPassword", fault: cognitotest.Refuse("NotAuthorizedException", "m"), ask: always("123456"),
			code: agent.CodeDenied, says: "does not set a new password for this user"},
		{name: "a trigger's refusal", action: agent.RecoverReset, op: "ConfirmForgotPassword", fault: cognitotest.Refuse("UserLambdaValidationException", "m"), ask: always("123456"),
			code: agent.CodeDenied, says: "Lambda"},
		{name: "code not delivered", action: agent.RecoverReset, op: "ForgotPassword", fault: cognitotest.Refuse("CodeDeliveryFailureException", "m"),
			code: agent.CodeUnavailable, says: "could not deliver the code; wait a minute, then run: kyc-agentd password reset prod"},
		{name: "down", action: agent.RecoverReset, op: "ForgotPassword", fault: cognitotest.BadGateway(), code: agent.CodeUnavailable, says: "HTTP 502"},
		{name: "another code, and down", action: agent.RecoverConfirm, op: "ResendConfirmationCode", fault: cognitotest.Drop(), ask: always("resend"),
			user: func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }, code: agent.CodeUnavailable, says: "closed the connection"},
		{name: "confirmed already", action: agent.RecoverConfirm, ask: always("123456"),
			code: agent.CodeUsage, says: "this account is confirmed already; run: kyc-agentd login prod"},
		{name: "confirmed already, another code", action: agent.RecoverResend, code: agent.CodeUsage, says: "this account is confirmed already"},
		{name: "another code too often", action: agent.RecoverResend, op: "ResendConfirmationCode", fault: limit,
			user: func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }, code: agent.CodeThrottled, says: "then run: kyc-agentd confirm --resend prod"},
		{name: "another code, and no address", action: agent.RecoverResend,
			user: func(u *cognitotest.User) { u.Status, u.Email = cognitotest.Unconfirmed, "" }, code: agent.CodeDenied, says: "the user pool does not send confirmation codes"},
		{name: "another's address", action: agent.RecoverConfirm, ask: always("123456"), op: "ConfirmSignUp", fault: cognitotest.Refuse("AliasExistsException", "m"),
			user: func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }, code: agent.CodeDenied, says: "another user has that address already"},
		{name: "too many wrong codes to confirm", action: agent.RecoverConfirm, ask: always("wrong"),
			user: func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }, code: agent.CodeThrottled, says: "wait (an hour at most), then run: kyc-agentd confirm prod"},
		{name: "wrong present password", action: agent.RecoverChange, user: func(u *cognitotest.User) { u.Password = "another one" },
			code: agent.CodeLoginRequired, says: "prod: Invalid username or password; check both, then run: kyc-agentd password change prod"},
		{name: "changed meanwhile", action: agent.RecoverChange, op: "ChangePassword", fault: cognitotest.Refuse("NotAuthorizedException", "m"), ask: always(next),
			code: agent.CodeLoginRequired, says: "Cognito refused the current password; run: kyc-agentd password change prod"},
		{name: "change limited", action: agent.RecoverChange, op: "ChangePassword", fault: limit, ask: always(next),
			code: agent.CodeThrottled, says: "the limit of attempts"},
		{name: "an action from the future", action: "delete", code: agent.CodeUsage, says: "the action is unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			srv.Set(test.settings...)
			if test.user != nil {
				srv.EditUser(username, test.user)
			}
			if test.op != "" {
				srv.FailNext(test.op, -1, test.fault)
			}
			ask := test.ask
			if ask == nil {
				ask = unasked(t)
			}
			err := cognito.New(cognito.Options{}).Recover(t.Context(), environment(srv), request(test.action), ask)
			wantError(t, err, test.code, test.says)
		})
	}
}

// An expired code cannot be distinguished from a code that was never sent to a user who does not
// exist.
func TestExpiredCode(t *testing.T) {
	srv := start(t)
	srv.OnCall(func(c cognitotest.Call) {
		if c.Op == "ConfirmForgotPassword" && srv.Calls("ForgotPassword") == 1 {
			srv.ExpireCodes()
		}
	})
	expired := "has expired or was used before; for another one, type: resend"
	form := "code " + passwords
	err := cognito.New(cognito.Options{}).Recover(t.Context(), environment(srv), request(agent.RecoverReset), script(t,
		turn{"RESET_PASSWORD", "", "", form, typed("code", "123456", "new_password", next)},
		turn{"RESET_PASSWORD", "", expired, form, typed("code", "resend")},
		turn{"RESET_PASSWORD", "", "another code was sent", form, typed("code", "123456", "new_password", next)},
	))
	if err != nil {
		t.Error(err)
	}
	for _, action := range []agent.RecoverAction{agent.RecoverReset, agent.RecoverConfirm} {
		req := request(action)
		req.Username = "eve"
		var problem string
		err := cognito.New(cognito.Options{}).Recover(t.Context(), environment(srv), req, func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
			if c.Problem != "" {
				problem = c.Problem
				return nil, errors.New("enough")
			}
			return always("12345678")(nil, c)
		})
		if err == nil || !strings.Contains(problem, expired) {
			t.Errorf("%s: problem %q, %v", action, problem, err)
		}
	}
}

func TestRecoverNeedsAName(t *testing.T) {
	srv := start(t)
	a := cognito.New(cognito.Options{})
	for _, action := range []agent.RecoverAction{agent.RecoverReset, agent.RecoverChange, agent.RecoverConfirm, agent.RecoverResend} {
		wantError(t, a.Recover(t.Context(), environment(srv), agent.RecoverRequest{Action: action}, unasked(t)), agent.CodeUsage)
	}
	env := environment(srv)
	env.Region = ""
	wantError(t, a.Recover(t.Context(), env, request(agent.RecoverReset), unasked(t)), agent.CodeConfiguration, "no region")
	if srv.Calls(cognitotest.AnyCall) != 0 {
		t.Error("calls were made")
	}
}

// Login recovers an account at once, if there is a person who agrees.
func TestLoginRecovery(t *testing.T) {
	resetAsked, confirmAsked := "PASSWORD_RESET_REQUIRED", "CONFIRM_SIGN_UP"
	unconfirmed := func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }
	required := func(u *cognitotest.User) { u.Status = cognitotest.ResetRequired }
	tests := []struct {
		name  string
		user  func(*cognitotest.User)
		turns []turn
	}{
		{"reset with the administrator's code", required, []turn{
			{resetAsked, "must be reset", "", "code", code("")},
			{resetAsked, "", "no code was given", "code", code("123456")},
			{"RESET_PASSWORD", "The new password", "", passwords, typed("new_password", next)},
		}},
		{"reset with a wrong code", required, []turn{
			{resetAsked, "", "", "code", code("000000")},
			{"RESET_PASSWORD", "The new password", "", passwords, typed("new_password", next)},
			{"RESET_PASSWORD", "Code sent, and a new password", "wrong code", "code " + passwords, typed("code", "123456", "new_password", next)},
		}},
		{"reset with a code of its own", required, []turn{
			{resetAsked, "", "", "code", code("Yes")},
			{"RESET_PASSWORD", "Code sent by e-mail to a***@e***", "", "code " + passwords, typed("code", "123456", "new_password", next)},
		}},
		{"reset and a second factor", func(u *cognitotest.User) { u.Status, u.MFA = cognitotest.ResetRequired, []string{"EMAIL_OTP"} }, []turn{
			{resetAsked, "", "", "code", code("yes")},
			{"RESET_PASSWORD", "", "", "code " + passwords, typed("code", "123456", "new_password", next)},
			{"EMAIL_OTP", "", "", "code", code("123456")},
		}},
		{"confirm", unconfirmed, []turn{
			{confirmAsked, "not confirmed yet", "", "code", code("123456")},
		}},
		{"confirm, a wrong code", unconfirmed, []turn{
			{confirmAsked, "", "", "code", code("1")},
			{confirmAsked, "", "wrong code", "code", code("123456")},
		}},
		{"confirm, another code", unconfirmed, []turn{
			{confirmAsked, "", "", "code", code("resend")},
			{confirmAsked, "sent by e-mail to a***@e***", "another code was sent", "code", code("123456")},
		}},
		{"confirm, yes", unconfirmed, []turn{
			{confirmAsked, "", "", "code", code("y")},
			{confirmAsked, "", "", "code", code("123456")},
		}},
	}
	for _, test := range tests {
		for _, flow := range []agent.AuthFlow{agent.FlowPassword, agent.FlowSRP, agent.FlowChoice} {
			t.Run(fmt.Sprintf("%s/%s", test.name, flow), func(t *testing.T) {
				srv := start(t)
				srv.EditUser(username, test.user)
				env := environment(srv)
				env.AuthFlow = flow
				g, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), script(t, test.turns...))
				if err != nil || g.SignIn.Username != username {
					t.Errorf("%+v, %v", g.SignIn, err)
				}
			})
		}
	}
}

// After a no, the original error is returned, with its next step.
func TestLoginRecoveryNobody(t *testing.T) {
	lines := map[cognitotest.Status]string{
		cognitotest.Unconfirmed:   "prod: User account not confirmed. Please verify your email. Run: kyc-agentd confirm prod",
		cognitotest.ResetRequired: "prod: Password reset required; run: kyc-agentd password reset prod",
	}
	for status, line := range lines {
		for name, ask := range map[string]agent.Prompter{
			"nobody there": nobodyThere,
			"no":           always("no"),
			"the agent's own error": func(context.Context, agent.Challenge) (agent.Answers, error) {
				return nil, &agent.Error{Code: agent.CodeLoginRequired, Message: "nobody there"}
			},
			"nothing": func(context.Context, agent.Challenge) (agent.Answers, error) { return nil, nil },
		} {
			srv := start(t)
			srv.EditUser(username, func(u *cognitotest.User) { u.Status = status })
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), ask)
			e := wantError(t, err, agent.CodeLoginRequired, line)
			if e.Error() != line || !slices.Equal(calls(srv), []string{"InitiateAuth USER_PASSWORD_AUTH"}) {
				t.Errorf("%s: %v, calls %q", name, err, calls(srv))
			}
		}
	}
}

// A caller who has disconnected or was replaced has not answered.
func TestLoginRecoveryCancelled(t *testing.T) {
	srv := start(t)
	srv.EditUser(username, func(u *cognitotest.User) { u.Status = cognitotest.ResetRequired })
	ctx, cancel := context.WithCancel(t.Context())
	_, err := cognito.New(cognito.Options{}).Login(ctx, environment(srv), ada(), func(ctx context.Context, _ agent.Challenge) (agent.Answers, error) {
		cancel()
		return nil, ctx.Err()
	})
	wantError(t, err, agent.CodeUnavailable, "given up at PASSWORD_RESET_REQUIRED")
}

// Each kind of recovery is offered once, even if the account stays in its state.
func TestLoginRecoveryOnce(t *testing.T) {
	srv := start(t)
	srv.FailNext(cognitotest.SignIn, -1, cognitotest.Refuse("PasswordResetRequiredException", "m"))
	_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		if c.Name == "PASSWORD_RESET_REQUIRED" {
			return agent.Answers{"code": agent.NewSecret("yes")}, nil
		}
		return agent.Answers{"code": agent.NewSecret("123456"), "new_password": agent.NewSecret(next)}, nil
	})
	wantError(t, err, agent.CodeLoginRequired, "Password reset required")
	if srv.Calls("ForgotPassword") != 1 || srv.Calls(cognitotest.SignIn) != 2 {
		t.Errorf("calls %q", calls(srv))
	}
	// An error during the recovery is returned.
	srv.FailNext("ForgotPassword", 3, cognitotest.Throttle())
	_, err = cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), always("yes"))
	wantError(t, err, agent.CodeThrottled, "Too many requests.")
}
