package cognito_test

import (
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// Every sign-in of the user ends, with and without rotation, and with either refresh call.
func TestRevokeAll(t *testing.T) {
	for name, settings := range map[string][]cognitotest.Setting{
		"plain":    nil,
		"rotation": {cognitotest.Rotation(0)},
		"devices":  {cognitotest.RememberDevices(cognitotest.DevicesAlways), cognitotest.Rotation(30 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			srv.Set(settings...)
			a := cognito.New(cognito.Options{})
			env := environment(srv)
			here, there := signIn(t, a, env).SignIn, signIn(t, a, env).SignIn
			var kept []agent.SignIn
			if err := a.RevokeAll(t.Context(), env, here, func(s agent.SignIn) { kept = append(kept, s) }); err != nil {
				t.Fatal(err)
			}
			if rotates := name != "plain"; (len(kept) == 1) != rotates {
				t.Errorf("kept %d times", len(kept))
			}
			for _, s := range append(kept, here, there) {
				_, err := a.Refresh(t.Context(), env, s, nobody)
				wantError(t, err, agent.CodeLoginRequired)
			}
			if srv.Calls(cognitotest.JWKS) != 1 {
				t.Error("the keys were fetched for a token that nobody gets")
			}
		})
	}
}

func TestRevokeAllFailures(t *testing.T) {
	const again = "; to end them, run: kyc-agentd login prod && kyc-agentd logout --all-devices prod"
	tests := []struct {
		name  string
		op    string
		fault cognitotest.Fault
		code  agent.Code
		says  string
		here  bool // this sign-in was ended all the same
	}{
		{"dead already", cognitotest.Refresh, cognitotest.Refuse("NotAuthorizedException", "Invalid Refresh Token."), agent.CodeLoginRequired,
			"expired or was ended; run: kyc-agentd login prod && kyc-agentd logout --all-devices prod", false},
		{"no refresh", cognitotest.Refresh, cognitotest.Drop(), agent.CodeUnavailable, "the other sign-ins stay valid at Cognito until they expire" + again, false},
		{"no sign-out", "GlobalSignOut", cognitotest.Drop(), agent.CodeUnavailable, again, true},
		{"throttled", "GlobalSignOut", cognitotest.Throttle(), agent.CodeThrottled, again, true},
		{"refused", "GlobalSignOut", cognitotest.Refuse("NotAuthorizedException", "m"), agent.CodeDenied, "does not let this user end all sign-ins", true},
		{"an emulator without it", "GlobalSignOut", cognitotest.RefuseStatus(500, "CognitoLocal#Unsupported", "m"), agent.CodeConfiguration, "does not know the call GlobalSignOut", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t, cognitotest.Rotation(0))
			a := cognito.New(cognito.Options{})
			s := signIn(t, a, environment(srv)).SignIn
			srv.FailNext(test.op, -1, test.fault)
			err := a.RevokeAll(t.Context(), environment(srv), s, nobody)
			wantError(t, err, test.code, test.says)
			if got := srv.Calls("RevokeToken") == 1; got != test.here {
				t.Errorf("revoked here: %v, want %v", got, test.here)
			}
		})
	}
	srv := start(t)
	err := cognito.New(cognito.Options{}).RevokeAll(t.Context(), environment(srv), agent.SignIn{}, nobody)
	wantError(t, err, agent.CodeLoginRequired, "no refresh token")
	env := environment(srv)
	env.ClientID = ""
	wantError(t, cognito.New(cognito.Options{}).RevokeAll(t.Context(), env, agent.SignIn{}, nobody), agent.CodeConfiguration, "no client_id")
}
