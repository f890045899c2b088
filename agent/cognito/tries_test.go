package cognito_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// momentary are failures after which the same call may succeed.
var momentary = map[string]cognitotest.Fault{
	"throttled": cognitotest.Throttle(), "throttled with 429": cognitotest.Throttle429(), "429": cognitotest.Bare429(),
	"500": cognitotest.Internal(), "502": cognitotest.BadGateway(), "503": cognitotest.Answer(503, "text/plain", ""),
	"500 that says NotAuthorized": cognitotest.RefuseStatus(500, "NotAuthorizedException", "m"),
	"cut":                         cognitotest.Drop(),
}

// One or two hiccups of Cognito do not fail a sign-in, three do, and all is over within seconds.
func TestSignInIsTriedAgain(t *testing.T) {
	for name, fault := range momentary {
		for failures := 1; failures <= 3; failures++ {
			t.Run(name, inBubble(func(t *testing.T) {
				srv, a := startInMemory(t)
				srv.FailNext(cognitotest.SignIn, failures, fault)
				began := time.Now()
				_, err := a.Login(t.Context(), environment(srv), ada(), unasked(t))
				if (err == nil) != (failures < 3) || srv.Calls(cognitotest.SignIn) != min(failures+1, 3) {
					t.Errorf("%d failures: %v after %d calls", failures, err, srv.Calls(cognitotest.SignIn))
				}
				if took := time.Since(began); took == 0 || took > 10*time.Second {
					t.Errorf("took %v", took)
				}
				if err != nil {
					wantError(t, err, agent.CodeOf(err), "ry again in a minute")
				}
			}))
		}
	}
}

// Whatever the answer to the second try says about the password, it is believed.
func TestWrongPasswordAfterAHiccup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, a := startInMemory(t)
		srv.FailNext(cognitotest.SignIn, 1, cognitotest.Drop())
		req := ada()
		req.Password = agent.NewSecret("wrong")
		_, err := a.Login(t.Context(), environment(srv), req, unasked(t))
		wantError(t, err, agent.CodeLoginRequired, "Invalid username or password")
		if n := srv.Calls(cognitotest.SignIn); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// Cognito may ask for a longer pause than a person waits for.
func TestLongRetryAfterIsNotWaitedFor(t *testing.T) {
	calls := 0
	a := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		answer := httptest.NewRecorder()
		answer.Header().Set("Retry-After", "30")
		answer.WriteHeader(http.StatusServiceUnavailable)
		return answer.Result(), nil
	})}})
	_, err := a.Login(t.Context(), at("https://cognito.example"), ada(), unasked(t))
	if e := wantError(t, err, agent.CodeUnavailable, "HTTP 503"); e.RetryAfter != 30*time.Second || calls != 1 {
		t.Errorf("retry after %v, %d calls", e.RetryAfter, calls)
	}
}

// Ctrl-C ends a pause.
func TestCancelledBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, a := startInMemory(t)
		srv.FailNext(cognitotest.SignIn, -1, cognitotest.Internal())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := a.Login(ctx, environment(srv), ada(), unasked(t))
		wantError(t, err, agent.CodeUnavailable)
		if took := time.Since(began); took != 10*time.Millisecond || srv.Calls(cognitotest.SignIn) != 1 {
			t.Errorf("%v, %d calls", took, srv.Calls(cognitotest.SignIn))
		}
	})
}

// A hiccup at the answer to a challenge does not end the dialog: the person is asked once.
func TestAnswerIsTriedAgain(t *testing.T) {
	for name, fault := range momentary {
		for _, op := range []string{"RespondToAuthChallenge", "AssociateSoftwareToken", "VerifySoftwareToken"} {
			t.Run(name+" "+op, inBubble(func(t *testing.T) {
				srv, a := startInMemory(t)
				srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{"MFA_SETUP"} })
				srv.FailNext(op, 2, fault)
				asked := 0
				_, err := a.Login(t.Context(), environment(srv), ada(), func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
					asked++
					return agent.Answers{"code": agent.NewSecret(cognitotest.TOTP(c.TOTPSecret, time.Now()))}, nil
				})
				if err != nil || asked != 1 || srv.Calls(op) != 3 {
					t.Errorf("%v, asked %d times, %d calls", err, asked, srv.Calls(op))
				}
			}))
		}
	}
}

// Cognito may have taken the first answer, and takes no second one.
func TestAnswerTakenButLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, a := startInMemory(t)
		srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{"SMS_MFA"} })
		srv.FailNext("RespondToAuthChallenge", 1, cognitotest.Drop().After())
		_, err := a.Login(t.Context(), environment(srv), ada(), always("123456"))
		wantError(t, err, agent.CodeLoginRequired, "Cognito's reply to an answer got lost, and Cognito takes each answer once; begin again: run: kyc-agentd login prod")

		env := environment(srv)
		env.AuthFlow = agent.FlowSRP
		srv.EditUser(username, func(u *cognitotest.User) { u.MFA = nil })
		srv.FailNext("RespondToAuthChallenge", 1, cognitotest.Drop())
		srv.FailNext("RespondToAuthChallenge", 1, cognitotest.Refuse("NotAuthorizedException", "Invalid session for the user."))
		_, err = a.Login(t.Context(), env, ada(), unasked(t))
		wantError(t, err, agent.CodeLoginRequired, "takes each answer once")
		if errors.Is(err, agent.ErrBadCredential) {
			t.Error("the password was blamed")
		}
	})
}

// recoverWith recovers ada's account, or another one, and types the right answers.
func recoverWith(t *testing.T, srv *cognitotest.Server, a *cognito.Authenticator, action agent.RecoverAction) (asked int, err error) {
	err = a.Recover(t.Context(), environment(srv), request(action), func(context.Context, agent.Challenge) (agent.Answers, error) {
		asked++
		code := "123456"
		if asked > 1 { // what a person would not know to type
			code = "000000"
		}
		return agent.Answers{"code": agent.NewSecret(code), "new_password": agent.NewSecret(next), "new_password_again": agent.NewSecret(next)}, nil
	})
	return asked, err
}

// recoveryCalls are the calls of account recovery, with what makes them.
var recoveryCalls = map[string]agent.RecoverAction{
	"ForgotPassword": agent.RecoverReset, "ConfirmForgotPassword": agent.RecoverReset, "ConfirmSignUp": agent.RecoverConfirm,
	"ResendConfirmationCode": agent.RecoverResend, "ChangePassword": agent.RecoverChange,
}

// beUnconfirmed makes ada's account one to confirm, if that is what action does.
func beUnconfirmed(srv *cognitotest.Server, action agent.RecoverAction) {
	if action == agent.RecoverConfirm || action == agent.RecoverResend {
		srv.EditUser(username, func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed })
	}
}

// One or two hiccups of Cognito do not fail the recovery of an account, and the person notices
// nothing of them.
func TestRecoveryIsTriedAgain(t *testing.T) {
	for name, fault := range momentary {
		for op, action := range recoveryCalls {
			t.Run(name+" "+op, inBubble(func(t *testing.T) {
				srv, a := startInMemory(t)
				beUnconfirmed(srv, action)
				srv.FailNext(op, 2, fault)
				began := time.Now()
				asked, err := recoverWith(t, srv, a, action)
				if err != nil || asked > 1 || srv.Calls(op) != 3 {
					t.Errorf("%v, asked %d times, %d calls", err, asked, srv.Calls(op))
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("took %v", took)
				}
				srv.FailNext(op, 3, fault)
				if _, err := recoverWith(t, srv, a, action); err == nil {
					t.Error("three failures in a row are none")
				}
			}))
		}
	}
}

// Cognito has done what the first call asked for, and its answer got lost. The second call then
// fails for that reason, which says so, or is as good.
func TestRecoveryDoneButLost(t *testing.T) {
	for op, want := range map[string]string{
		"ConfirmSignUp": "", "ForgotPassword": "", "ResendConfirmationCode": "",
		"ConfirmForgotPassword": "Cognito's reply got lost, and the new password may be set already; sign in with it: kyc-agentd login prod; " +
			"if it is refused, run: kyc-agentd password reset prod",
		"ChangePassword": "Cognito's reply got lost, and the new password may be set already; sign in with it: kyc-agentd login prod; " +
			"if it is refused, run: kyc-agentd password change prod",
	} {
		t.Run(op, inBubble(func(t *testing.T) {
			srv, a := startInMemory(t)
			action := recoveryCalls[op]
			beUnconfirmed(srv, action)
			srv.FailNext(op, 1, cognitotest.Drop().After())
			_, err := recoverWith(t, srv, a, action)
			if want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, agent.CodeLoginRequired, want)
			req := ada()
			req.Password = agent.NewSecret(next)
			if _, err := a.Login(t.Context(), environment(srv), req, unasked(t)); err != nil {
				t.Errorf("with the new password: %v", err)
			}
		}))
	}
}

// A call that was throttled was not made, so a code that is refused afterwards is wrong.
func TestWrongCodeAfterAThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, a := startInMemory(t)
		srv.FailNext("ConfirmForgotPassword", 1, cognitotest.Throttle())
		problem := ""
		err := a.Recover(t.Context(), environment(srv), request(agent.RecoverReset), func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
			code := "000000"
			if problem = c.Problem; problem != "" {
				code = "123456"
			}
			return agent.Answers{"code": agent.NewSecret(code), "new_password": agent.NewSecret(next), "new_password_again": agent.NewSecret(next)}, nil
		})
		if err != nil || problem != "wrong code" {
			t.Errorf("%v, problem %q", err, problem)
		}
	})
}
