package cognito_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// Cognito calls a slow Lambda trigger up to three times, and then succeeds: an answer may take
// most of a minute. Without a grace period, giving up on a refresh would lose the sign-in.
func TestSlowAnswersAreTaken(t *testing.T) {
	for _, took := range []time.Duration{11 * time.Second, 30 * time.Second, 55 * time.Second} {
		t.Run(took.String(), inBubble(func(t *testing.T) {
			srv, a := startInMemory(t, cognitotest.Rotation(0))
			srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{"SMS_MFA"} })
			srv.SetLatency(cognitotest.APICall, took)
			g, err := a.Login(t.Context(), environment(srv), ada(), always("123456"))
			for n := 0; n < 3 && err == nil; n++ {
				g, err = a.Refresh(t.Context(), environment(srv), g.SignIn, nobody)
			}
			if err != nil || srv.SignIns() != 1 || srv.LiveSignIns() != 1 {
				t.Errorf("%v; %d sign-ins, %d live", err, srv.SignIns(), srv.LiveSignIns())
			}
		}))
	}
}

// No connection is no reason to wait a minute.
func TestConnectionHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		defer close(over)
		a := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				<-over // net/http lets a connection be made for later requests, too
				return nil, net.ErrClosed
			},
		}}})
		began := time.Now()
		_, err := a.Refresh(t.Context(), at("http://127.0.0.1:1"), stored, nobody)
		wantError(t, err, agent.CodeUnavailable, "no answer from 127.0.0.1:1 within 10 s")
		if time.Since(began) != 10*time.Second {
			t.Errorf("after %v", time.Since(began))
		}
	})
}

// The caller goes away, or the answer takes longer than a minute: what the answer grants then
// must not stay valid at Cognito.
func TestLateSignInIsRevoked(t *testing.T) {
	const never = time.Hour
	tests := []struct {
		name              string
		mfa               []string
		op                string
		answer, ctxEnds   time.Duration
		ended             time.Duration // when Login returns
		says              string
		revocationsFailed int
	}{
		{name: "Ctrl-C", op: "InitiateAuth", answer: 12 * time.Second, ctxEnds: 2 * time.Second, ended: 2 * time.Second, says: "was cancelled"},
		{name: "Ctrl-C at a code", mfa: []string{"SMS_MFA"}, op: "RespondToAuthChallenge", answer: 12 * time.Second, ctxEnds: 2 * time.Second, ended: 2 * time.Second, says: "was cancelled"},
		{name: "too slow", op: "InitiateAuth", answer: 70 * time.Second, ctxEnds: never, ended: time.Minute, says: "within 60 s"},
		{name: "the revocation fails at first", op: "InitiateAuth", answer: 12 * time.Second, ctxEnds: 2 * time.Second, ended: 2 * time.Second, says: "was cancelled", revocationsFailed: 2},
	}
	for _, test := range tests {
		t.Run(test.name, inBubble(func(t *testing.T) {
			srv, a := startInMemory(t)
			srv.EditUser(username, func(u *cognitotest.User) { u.MFA = test.mfa })
			srv.SetLatency(test.op, test.answer)
			srv.FailNext("RevokeToken", test.revocationsFailed, cognitotest.Internal())
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(test.ctxEnds, cancel)
			began := time.Now()
			_, err := a.Login(ctx, environment(srv), ada(), always("123456"))
			wantError(t, err, agent.CodeUnavailable, test.says)
			if time.Since(began) != test.ended {
				t.Errorf("returned after %v, want %v", time.Since(began), test.ended)
			}
			time.Sleep(2 * time.Minute)
			if srv.SignIns() != 1 || srv.LiveSignIns() != 0 {
				t.Errorf("%d sign-ins, of which %d are live", srv.SignIns(), srv.LiveSignIns())
			}
			cancel()
		}))
	}
}

// A call that ends before its request was sent is not sent afterwards.
func TestCancelledBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _ := startInMemory(t)
		dial := srv.Client().Transport.(*http.Transport).DialContext
		a := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				time.Sleep(5 * time.Second)
				return dial(ctx, network, addr)
			},
		}}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Login(ctx, environment(srv), ada(), unasked(t))
		wantError(t, err, agent.CodeUnavailable, "within 1 s")
		time.Sleep(time.Minute)
		if srv.Calls(cognitotest.APICall) != 0 {
			t.Error("the password was sent after its caller had gone")
		}
	})
}
