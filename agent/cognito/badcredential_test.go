package cognito_test

import (
	"errors"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// Only Cognito's definite refusal of the user name or password counts as one.
func TestBadCredential(t *testing.T) {
	refuse := cognitotest.Refuse
	tests := []struct {
		name  string
		fault cognitotest.Fault
		bad   bool
	}{
		{"wrong", refuse("NotAuthorizedException", "Incorrect username or password."), true},
		{"no message", refuse("NotAuthorizedException", ""), true},
		{"no such user", refuse("NotAuthorizedException", "User does not exist."), true},
		{"no such user, by its code", refuse("UserNotFoundException", "User does not exist."), true},
		{"cognito-local", refuse("InvalidPasswordException", "Invalid password"), true},
		{"trigger", refuse("NotAuthorizedException", "PreAuthentication failed with error Email not verified."), false},
		{"another trigger", refuse("NotAuthorizedException", "PostAuthentication failed with error x"), false},
		{"trigger, by its code", refuse("UserLambdaValidationException", "PreAuthentication failed with error x"), false},
		{"a trigger that ends sessions", refuse("NotAuthorizedException", "Access Token has been revoked"), false},
		{"threat protection", refuse("NotAuthorizedException", "Unable to login because of security reasons."), false},
		{"something new", refuse("NotAuthorizedException", "Not today."), false},
		{"locked", refuse("NotAuthorizedException", "Password attempts exceeded"), false},
		{"disabled", refuse("NotAuthorizedException", "User is disabled."), false},
		{"expired", refuse("NotAuthorizedException", "Temporary password has expired and must be reset by an administrator."), false},
		{"expired long ago", refuse("NotAuthorizedException", "User account has expired, it must be reset by an administrator."), false},
		{"secret", refuse("NotAuthorizedException", "SecretHash does not match for the client: x"), false},
		{"firewall", cognitotest.Blocked(), false},
		{"a company's proxy", cognitotest.Answer(403, "text/html", "<h1>Forbidden</h1>"), false},
		{"client", refuse("ResourceNotFoundException", "m"), false},
		{"flow", refuse("InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled for this client"), false},
		{"unconfirmed", refuse("UserNotConfirmedException", "m"), false},
		{"a code from the future", refuse("SomethingNewException", "Incorrect username or password."), false},
		{"500", cognitotest.RefuseStatus(500, "NotAuthorizedException", "Incorrect username or password."), false},
		{"502", cognitotest.RefuseStatus(502, "UserNotFoundException", "m"), false},
	}
	for _, test := range tests {
		for _, flow := range []agent.AuthFlow{agent.FlowPassword, agent.FlowSRP} {
			t.Run(test.name+" "+string(flow), inBubble(func(t *testing.T) {
				srv, a := startInMemory(t)
				env, op := environment(srv), "InitiateAuth"
				if env.AuthFlow = flow; flow == agent.FlowSRP {
					op = "RespondToAuthChallenge"
				}
				srv.FailNext(op, -1, test.fault)
				_, err := a.Login(t.Context(), env, ada(), nobodyThere)
				wantError(t, err, agent.CodeOf(err))
				if got := errors.Is(err, agent.ErrBadCredential); got != test.bad {
					t.Errorf("bad credential: %v, want %v: %v", got, test.bad, err)
				}
				if test.bad && agent.CodeOf(err) != agent.CodeLoginRequired {
					t.Errorf("code %s", agent.CodeOf(err))
				}
			}))
		}
	}
}
