package cognito_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// If this agent did not wait for the answer to a refresh, or the connection ended first, then
// nobody else has used the refresh token.
func TestReuseAfterOurOwnFailure(t *testing.T) {
	const late, lost, second = "answer to an earlier refresh came too late", "answer to an earlier refresh got lost", "it was used a second time"
	tests := []struct {
		name  string
		fault cognitotest.Fault
		wait  time.Duration // of the caller
		says  string
	}{
		{"too slow", cognitotest.Hang().After(), time.Hour, late},
		{"the caller's deadline", cognitotest.Hang().After(), 10 * time.Second, late},
		{"cut", cognitotest.Drop().After(), time.Hour, lost},
		{"half an answer", cognitotest.Answer(200, "application/x-amz-json-1.1", `{"Auth`).After(), time.Hour, lost},
		{"a gateway's timeout", cognitotest.BadGateway().After(), time.Hour, lost},
		{"throttled", cognitotest.Throttle().After(), time.Hour, second}, // Cognito did answer
	}
	for _, test := range tests {
		t.Run(test.name, inBubble(func(t *testing.T) {
			srv, a := startInMemory(t, cognitotest.Rotation(0))
			s := signIn(t, a, environment(srv)).SignIn
			s.RefreshAPI = "tokens"
			srv.FailNext(tokens, 1, test.fault)
			ctx, cancel := context.WithTimeout(t.Context(), test.wait)
			defer cancel()
			if _, err := a.Refresh(ctx, environment(srv), s, nobody); err == nil {
				t.Fatal("no failure")
			}
			_, err := a.Refresh(t.Context(), environment(srv), s, nobody)
			wantError(t, err, agent.CodeLoginRequired, test.says, "run: kyc-agentd login prod")

			// Another token's second use is somebody else's.
			srv.FailNext(tokens, 1, cognitotest.Refuse("RefreshTokenReuseException", "m"))
			other := signIn(t, a, environment(srv)).SignIn
			other.RefreshAPI = "tokens"
			_, err = a.Refresh(t.Context(), environment(srv), other, nobody)
			wantError(t, err, agent.CodeLoginRequired, second)
		}))
	}
}

// While the signing keys are out of reach, the token that a refresh brought is kept, and only the
// keys are asked for again.
func TestOnlyTheKeysAreTriedAgain(t *testing.T) {
	for _, rotation := range []bool{true, false} {
		t.Run(fmt.Sprint("rotation ", rotation), inBubble(func(t *testing.T) {
			srv, _ := startInMemory(t)
			if rotation {
				srv.Set(cognitotest.Rotation(0))
			}
			s := signIn(t, cognito.New(cognito.Options{HTTPClient: srv.Client()}), environment(srv)).SignIn
			a := cognito.New(cognito.Options{HTTPClient: srv.Client()}) // which has no keys yet
			srv.FailNext(cognitotest.JWKS, -1, cognitotest.Internal())
			keep := func(rotated agent.SignIn) { s = rotated }
			began := time.Now()
			for range 30 {
				_, err := a.Refresh(t.Context(), environment(srv), s, keep)
				wantError(t, err, agent.CodeUnavailable, "could not be verified", "HTTP 500")
				time.Sleep(time.Second)
			}
			srv.ClearFaults()
			g, err := a.Refresh(t.Context(), environment(srv), s, keep)
			if err != nil || srv.Refreshes() != 1 {
				t.Fatalf("%v; %d refreshes, want 1", err, srv.Refreshes())
			}
			if age := time.Since(began); g.Lifetime != time.Hour || (g.Age-age).Abs() > 2*time.Second {
				t.Errorf("lifetime %v and age %v, want an hour and %v", g.Lifetime, g.Age, age)
			}
			if g.AccessToken.IsZero() || g.AccessLifetime == 0 {
				t.Error("the access token was not kept")
			}
			if !g.SignIn.RefreshToken.Equal(s.RefreshToken) {
				t.Error("another refresh token")
			}
			if _, err = a.Refresh(t.Context(), environment(srv), g.SignIn, keep); err != nil || srv.Refreshes() != 2 {
				t.Errorf("the kept token was used twice: %v; %d refreshes", err, srv.Refreshes())
			}
		}))
	}
}

// A token is not kept for long, nor for another sign-in or after a logout, and not if it expires.
func TestKeptTokenEnds(t *testing.T) {
	tests := []struct {
		name string
		pass func(*cognito.Authenticator, agent.Environment, agent.SignIn)
		life time.Duration
	}{
		{name: "after ten minutes", life: time.Hour, pass: func(*cognito.Authenticator, agent.Environment, agent.SignIn) {
			time.Sleep(10*time.Minute + time.Second)
		}},
		{name: "when it expires", life: 5 * time.Minute, pass: func(*cognito.Authenticator, agent.Environment, agent.SignIn) { time.Sleep(5 * time.Minute) }},
		{name: "at a logout", life: time.Hour, pass: func(a *cognito.Authenticator, env agent.Environment, s agent.SignIn) {
			_ = a.Revoke(context.Background(), env, agent.SignIn{RefreshToken: agent.NewSecret("another one")})
		}},
	}
	for _, test := range tests {
		t.Run(test.name, inBubble(func(t *testing.T) {
			srv, _ := startInMemory(t, cognitotest.IDTokenLifetime(test.life))
			s := signIn(t, cognito.New(cognito.Options{HTTPClient: srv.Client()}), environment(srv)).SignIn
			a := cognito.New(cognito.Options{HTTPClient: srv.Client()})
			srv.FailNext(cognitotest.JWKS, 1, cognitotest.Internal())
			_, err := a.Refresh(t.Context(), environment(srv), s, nobody)
			wantError(t, err, agent.CodeUnavailable)
			test.pass(a, environment(srv), s)
			if _, err := a.Refresh(t.Context(), environment(srv), s, nobody); err != nil || srv.Refreshes() != 2 {
				t.Errorf("%v; %d refreshes, want 2", err, srv.Refreshes())
			}
		}))
	}
}
