package cognitotest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		fault  cognitotest.Fault
		status int
		result string
	}{
		{"refusal", cognitotest.Refuse("LimitExceededException", "Attempt limit exceeded, please try after some time."), 400,
			"LimitExceededException: Attempt limit exceeded, please try after some time."},
		{"throttle", cognitotest.Throttle(), 400, "TooManyRequestsException: Too many requests"},
		{"429 with a code", cognitotest.Throttle429(), 429, "TooManyRequestsException: Too many requests"},
		{"429 without", cognitotest.Bare429(), 429, "ok"},
		{"500", cognitotest.Internal(), 500, "InternalErrorException: Internal error"},
		{"HTML 502", cognitotest.BadGateway(), 502, "ok"},
		{"firewall", cognitotest.Blocked(), 403, "ForbiddenException: Request not allowed due to WAF block."},
		{"HTML 502 after", cognitotest.BadGateway().After(), 502, "ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t)
			token := signIn(t, srv).refresh()
			srv.FailNext(cognitotest.Refresh, 1, tt.fault)
			out := byTokens(t, srv, token)
			equal(t, "status", out.Status, tt.status)
			equal(t, "result", out.result(), tt.result)
			worked := 0
			if strings.HasSuffix(tt.name, "after") {
				worked = 1
			}
			equal(t, "refreshes granted", srv.Refreshes(), worked)
			equal(t, "the call after", byTokens(t, srv, token).result(), "ok")
		})
	}
}

func TestFaultsAreForTheirCalls(t *testing.T) {
	srv := start(t)
	token := signIn(t, srv).refresh()
	srv.FailNext(cognitotest.Refresh, 2, cognitotest.Throttle())
	srv.FailNext(cognitotest.Refresh, 1, cognitotest.Blocked())
	signIn(t, srv)
	equal(t, "first", byAuth(t, srv, token).Code, "TooManyRequestsException")
	equal(t, "second", byTokens(t, srv, token).Code, "TooManyRequestsException")
	equal(t, "third", byTokens(t, srv, token).Code, "ForbiddenException")
	equal(t, "fourth", byTokens(t, srv, token).result(), "ok")
	srv.FailNext("RevokeToken", -1, cognitotest.Internal())
	for range 3 {
		equal(t, "revoke", revoke(t, srv, token), "InternalErrorException: Internal error")
	}
	srv.ClearFaults()
	equal(t, "revoke", revoke(t, srv, token), "ok")
}

func TestDrop(t *testing.T) {
	srv := start(t, cognitotest.Rotation(0))
	token := signIn(t, srv).refresh()
	in := m{"ClientId": srv.ClientID, "RefreshToken": token}
	srv.FailNext(cognitotest.Refresh, 1, cognitotest.Drop())
	if _, err := send(srv, "GetTokensFromRefreshToken", in); err == nil {
		t.Error("dropped call was answered")
	}
	equal(t, "refreshes after a drop", srv.Refreshes(), 0)
	srv.FailNext(cognitotest.Refresh, 1, cognitotest.Drop().After())
	if _, err := send(srv, "GetTokensFromRefreshToken", in); err == nil {
		t.Error("dropped answer arrived")
	}
	equal(t, "refreshes after a lost answer", srv.Refreshes(), 1)
	equal(t, "the token whose successor was lost", byTokens(t, srv, token).result(), reuse)
}

func TestHang(t *testing.T) {
	for _, after := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := start(t)
			token := signIn(t, srv).refresh()
			fault := cognitotest.Hang()
			if after {
				fault = fault.After()
			}
			srv.FailNext(cognitotest.Refresh, 1, fault)
			done := make(chan string, 1)
			go func() {
				out, err := send(srv, "GetTokensFromRefreshToken", m{"ClientId": srv.ClientID, "RefreshToken": token})
				done <- out.result() + errText(err)
			}()
			time.Sleep(time.Hour)
			synctest.Wait()
			select {
			case got := <-done:
				t.Fatalf("answered while hanging: %s", got)
			default:
			}
			equal(t, "granted while hanging", srv.Refreshes() == 1, after)
			srv.Release()
			equal(t, "result", <-done, "ok")
			srv.Close()
		})
	}
}

func TestHungClientGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t)
		srv.FailNext(cognitotest.JWKS, 1, cognitotest.Hang())
		srv.SetLatency("GetUser", time.Hour)
		client := srv.Client()
		client.Timeout = time.Second
		if _, err := client.Get(srv.JWKSURL()); err == nil {
			t.Error("the hung fetch was answered")
		}
		if _, err := send(srv, "GetUser", m{}); err == nil {
			t.Error("the slow call was answered")
		}
		synctest.Wait() // the bubble would not end if either were still being served
		srv.Close()
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCloseEndsWhatHangs(t *testing.T) {
	srv := cognitotest.New()
	srv.FailNext(cognitotest.AnyCall, -1, cognitotest.Hang())
	done := make(chan error, 1)
	go func() {
		_, err := send(srv, "InitiateAuth", m{})
		done <- err
	}()
	if err := srv.WaitCalls(t.Context(), cognitotest.AnyCall, 1); err != nil {
		t.Fatal(err)
	}
	srv.Close()
	if err := <-done; err == nil {
		t.Error("the hung call was answered")
	}
	srv.Close() // again does nothing
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t)
		srv.SetLatency(cognitotest.APICall, time.Second)
		srv.SetLatency(cognitotest.Refresh, 4*time.Second)
		begin := time.Now()
		token := signIn(t, srv).refresh()
		equal(t, "sign-in took", time.Since(begin), time.Second)
		byTokens(t, srv, token)
		equal(t, "both took", time.Since(begin), 5*time.Second)
		fetchKeys(t, srv)
		equal(t, "the keys took", time.Since(begin), 5*time.Second)
		for range 10 { // the longest counts, in whatever order they are looked at
			byTokens(t, srv, token)
		}
		equal(t, "ten more took", time.Since(begin), 45*time.Second)
		begin = time.Now().Add(-5 * time.Second)
		srv.SetLatency(cognitotest.Refresh, 0)
		srv.SetLatency(cognitotest.APICall, 0)
		byTokens(t, srv, token)
		equal(t, "without latency", time.Since(begin), 5*time.Second)
		srv.Close()
	})
}

func TestCalls(t *testing.T) {
	srv := start(t)
	var seen []string
	srv.OnCall(func(c cognitotest.Call) { seen = append(seen, c.Op+" "+c.Flow+" "+c.Username) })
	token := signIn(t, srv).refresh()
	byAuth(t, srv, token)
	srv.OnCall(nil)
	byTokens(t, srv, token)
	fetchKeys(t, srv)
	equal(t, "seen", strings.Join(seen, ", "), "InitiateAuth USER_PASSWORD_AUTH ada, InitiateAuth REFRESH_TOKEN_AUTH ")
	for op, want := range map[string]int{
		cognitotest.AnyCall: 4, cognitotest.APICall: 3, cognitotest.SignIn: 1, cognitotest.Refresh: 2,
		cognitotest.JWKS: 1, "InitiateAuth": 2, "GetTokensFromRefreshToken": 1, "RevokeToken": 0,
	} {
		equal(t, "calls of "+op, srv.Calls(op), want)
	}
	equal(t, "log", len(srv.Log()), 4)
	srv.ForgetCalls()
	equal(t, "calls forgotten", srv.Calls(cognitotest.AnyCall), 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.WaitCalls(ctx, cognitotest.JWKS, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitCalls = %v, want canceled", err)
	}
}

func TestDate(t *testing.T) {
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now), cognitotest.ClockSkew(10*time.Minute))
	out := signIn(t, srv)
	date, err := http.ParseTime(out.Header.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Date ahead by", date.Sub(clock.Now()), 10*time.Minute)
	c := claims(t, out.AuthenticationResult.IdToken)
	equal(t, "iat", int64(c["iat"].(float64)), clock.Now().Add(10*time.Minute).Unix())
}

func TestHandlerAlone(t *testing.T) {
	srv := start(t)
	for path, status := range map[string]int{
		"/": http.StatusMethodNotAllowed, "/other/.well-known/jwks.json": http.StatusNotFound,
	} {
		res, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		equal(t, path, res.StatusCode, status)
	}
}
