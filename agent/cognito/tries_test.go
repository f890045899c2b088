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
