package cognito_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// Messages as Cognito sends them, for the codes that have several.
var messages = map[string]string{
	"NotAuthorizedException/attempts":     "Password attempts exceeded",
	"NotAuthorizedException/credential":   "Incorrect username or password.",
	"NotAuthorizedException/trigger":      "PreAuthentication failed with error Email not verified.",
	"NotAuthorizedException/risk":         "Unable to login because of security reasons.",
	"NotAuthorizedException/session":      "Invalid session for the user, session can only be used once.",
	"NotAuthorizedException/unwritable":   "A client attempted to write unauthorized attribute",
	"InvalidParameterException/triggers":  "Custom auth lambda trigger is not configured for the user pool.",
	"NotAuthorizedException/disabled":     "User is disabled.",
	"NotAuthorizedException/temporary":    "Temporary password has expired and must be reset by an administrator.",
	"NotAuthorizedException/secret":       "Unable to verify secret hash for client x",
	"InvalidParameterException/flow":      "USER_PASSWORD_AUTH flow not enabled for this client",
	"InvalidParameterException/secret":    "Client x is configured with secret but SECRET_HASH was not received",
	"NotAuthorizedException/wrong":        "SecretHash does not match for the client: x",
	"InvalidParameterException/wrong":     "Unable to verify secret hash for client x",
	"NotAuthorizedException/no-secret":    "Client x is not configured for secret but secret was received",
	"InvalidParameterException/no-secret": "Client x is not configured for secret but secret was received",
	"NotAuthorizedException/expired":      "Invalid session for the user, session is expired.",
	"NotAuthorizedException":              "Access Token has been revoked",
	"InvalidParameterException":           "1 validation error detected",
	"UserLambdaValidationException":       "PreAuthentication failed with error",
	"UnexpectedLambdaExceptionException":  "Unexpected error when invoking lambda",
}

// An outcome is a code, and the beginning of the line after "prod: ".
type outcome struct {
	code agent.Code
	line string
}

// codes has the outcome of each error code at a sign-in, at the answer to a challenge for a code,
// and at a refresh (with both calls). An empty outcome means that of the sign-in.
var codes = map[string]struct{ signIn, answer, refresh outcome }{
	"NotAuthorizedException": {
		outcome{agent.CodeDenied, "Cognito refused the sign-in, and does not say that the password is wrong; ask the user pool's administrator"},
		outcome{agent.CodeLoginRequired, "Cognito ended the sign-in: it took too long, or there were too many wrong answers; begin again: run: kyc-agentd login prod"},
		outcome{agent.CodeLoginRequired, "Cognito refused the refresh token: the sign-in has expired or was ended; run: kyc-agentd login prod"},
	},
	"NotAuthorizedException/credential": {
		outcome{agent.CodeLoginRequired, "Invalid username or password; check both, then run: kyc-agentd login prod"},
		outcome{agent.CodeLoginRequired, "Cognito ended the sign-in"},
		outcome{agent.CodeLoginRequired, "Cognito refused the refresh token"}, // never said there
	},
	"NotAuthorizedException/trigger": {signIn: outcome{agent.CodeDenied, "a Lambda trigger of the user pool refused it; ask the user pool's administrator"}},
	"NotAuthorizedException/risk": {
		outcome{agent.CodeDenied, "Cognito's threat protection refused the sign-in; try from a network or device that this user signs in from otherwise"},
		outcome{agent.CodeLoginRequired, "Cognito ended the sign-in"},
		outcome{agent.CodeLoginRequired, "Cognito refused the refresh token"}, // never said there
	},
	"NotAuthorizedException/session": {
		outcome{agent.CodeLoginRequired, "Cognito ended the sign-in: it took too long, or there were too many wrong answers; begin again: run: kyc-agentd login prod"},
		outcome{agent.CodeLoginRequired, "Cognito ended the sign-in"},
		outcome{agent.CodeLoginRequired, "Cognito refused the refresh token"}, // never said there
	},
	"NotAuthorizedException/unwritable": {
		outcome{agent.CodeDenied, "Cognito refused the sign-in, and does not say that the password is wrong"}, // never said there
		outcome{agent.CodeConfiguration, "the app client client may not set an attribute that the user pool requires; ask the user pool's administrator"},
		outcome{agent.CodeLoginRequired, "Cognito refused the refresh token"}, // never said there
	},
	"InvalidParameterException/triggers": {
		outcome{agent.CodeConfiguration, "the user pool has no custom sign-in (Lambda triggers); set auth_flow of environment prod to password, srp or choice"},
		outcome{agent.CodeConfiguration, "Cognito refused the parameters of RespondToAuthChallenge"},
		outcome{agent.CodeConfiguration, "the app client client does not allow refresh tokens"},
	},
	"NotAuthorizedException/attempts": {
		signIn:  outcome{agent.CodeThrottled, "too many failed attempts: Cognito has locked this account for a while; wait (15 minutes at most), then run: kyc-agentd login prod"},
		refresh: outcome{agent.CodeLoginRequired, "Cognito refused the refresh token"}, // never said there; by its code it would be definite
	},
	"NotAuthorizedException/disabled": {signIn: outcome{agent.CodeLoginRequired, "this user is disabled; ask the user pool's administrator to enable it"}},
	"NotAuthorizedException/temporary": {
		outcome{agent.CodeLoginRequired, "the temporary password has expired; ask the user pool's administrator for a new one"},
		outcome{agent.CodeLoginRequired, "Cognito ended the sign-in"},
		outcome{agent.CodeLoginRequired, "Cognito refused the refresh token"},
	},
	"NotAuthorizedException/secret":       {signIn: outcome{agent.CodeConfiguration, "the app client client has a secret, and none is configured; set client_secret_file of environment prod"}},
	"InvalidParameterException/secret":    {signIn: outcome{agent.CodeConfiguration, "the app client client has a secret"}},
	"NotAuthorizedException/wrong":        {signIn: otherSecret},
	"InvalidParameterException/wrong":     {signIn: otherSecret},
	"NotAuthorizedException/no-secret":    {signIn: secretless},
	"InvalidParameterException/no-secret": {signIn: secretless},
	"NotAuthorizedException/expired": {
		signIn:  outcome{agent.CodeLoginRequired, "the sign-in took longer than Cognito's 3 minutes; begin again: run: kyc-agentd login prod"},
		refresh: outcome{agent.CodeLoginRequired, "Cognito refused the refresh token"}, // never said there
	},
	"InvalidParameterException": {
		outcome{agent.CodeConfiguration, "Cognito refused the parameters of InitiateAuth (InvalidParameterException); check client_id"},
		outcome{agent.CodeLoginRequired, "10 answers in a row were refused"},
		outcome{agent.CodeConfiguration, "the app client client does not allow refresh tokens; ask the user pool's administrator to allow ALLOW_REFRESH_TOKEN_AUTH on it; the sign-in is kept"},
	},
	"InvalidParameterException/flow": {
		outcome{agent.CodeConfiguration, "the app client client does not allow the auth_flow of environment prod (it lacks ALLOW_USER_PASSWORD_AUTH); set auth_flow"},
		outcome{agent.CodeConfiguration, "Cognito refused the parameters of RespondToAuthChallenge"},
		outcome{agent.CodeConfiguration, "the app client client does not allow refresh tokens"},
	},
	"InvalidPasswordException": {
		outcome{agent.CodeLoginRequired, "Invalid username or password; check both"},
		outcome{agent.CodeLoginRequired, "the new password does not meet the user pool's rules"},
		unknown("InvalidPasswordException"),
	},
	"PasswordHistoryPolicyViolationException": {
		unknown("PasswordHistoryPolicyViolationException"),
		outcome{agent.CodeLoginRequired, "the new password was used before"},
		unknown("PasswordHistoryPolicyViolationException"),
	},
	"CodeMismatchException": {
		unknown("CodeMismatchException"),
		outcome{agent.CodeLoginRequired, "10 answers in a row were refused; begin again: run: kyc-agentd login prod"},
		unknown("CodeMismatchException"),
	},
	"ExpiredCodeException": {
		unknown("ExpiredCodeException"),
		outcome{agent.CodeLoginRequired, "10 answers in a row were refused"},
		unknown("ExpiredCodeException"),
	},
	"RefreshTokenReuseException": {
		unknown("RefreshTokenReuseException"),
		unknown("RefreshTokenReuseException"),
		outcome{agent.CodeLoginRequired, "Cognito refused the refresh token: it was used a second time; run: kyc-agentd login prod"},
	},
	"UserNotFoundException": {
		outcome{agent.CodeLoginRequired, "User not found; check the user name, then run: kyc-agentd login prod"},
		outcome{agent.CodeLoginRequired, "User not found"},
		outcome{agent.CodeLoginRequired, "User not found; ask the user pool's administrator, then run: kyc-agentd login prod"},
	},
	"UserNotConfirmedException":                {signIn: outcome{agent.CodeLoginRequired, "User account not confirmed. Please verify your email. Run: kyc-agentd confirm prod"}},
	"PasswordResetRequiredException":           {signIn: outcome{agent.CodeLoginRequired, "Password reset required; run: kyc-agentd password reset prod"}},
	"TooManyRequestsException":                 {signIn: tooMany},
	"ThrottlingException":                      {signIn: tooMany},
	"Throttling":                               {signIn: tooMany},
	"RequestLimitExceeded":                     {signIn: tooMany},
	"RequestThrottled":                         {signIn: tooMany},
	"RequestThrottledException":                {signIn: tooMany},
	"SlowDown":                                 {signIn: tooMany},
	"LimitExceededException":                   {signIn: outcome{agent.CodeThrottled, "the limit of attempts for this user is reached; wait (15 minutes at most)"}},
	"TooManyFailedAttemptsException":           {signIn: outcome{agent.CodeThrottled, "too many failed attempts: Cognito has locked this account for a while; wait (15 minutes at most)"}},
	"ForbiddenException":                       {signIn: wafBlock},
	"AccessDeniedException":                    {signIn: wafBlock},
	"ResourceNotFoundException":                {signIn: outcome{agent.CodeConfiguration, "HOST does not know the app client client; check client_id, user_pool_id and region of environment prod"}},
	"ValidationException":                      {signIn: outcome{agent.CodeConfiguration, "Cognito refused the parameters of"}},
	"SerializationException":                   {signIn: outcome{agent.CodeConfiguration, "Cognito refused the parameters of"}},
	"InternalErrorException":                   {signIn: outcome{agent.CodeUnavailable, "Cognito has an internal error (InternalErrorException)"}},
	"InternalServerException":                  {signIn: outcome{agent.CodeUnavailable, "Cognito has an internal error"}},
	"InternalFailure":                          {signIn: outcome{agent.CodeUnavailable, "Cognito has an internal error"}},
	"InternalServerError":                      {signIn: outcome{agent.CodeUnavailable, "Cognito has an internal error"}},
	"ServiceUnavailable":                       {signIn: outcome{agent.CodeUnavailable, "Cognito has an internal error"}},
	"ServiceUnavailableException":              {signIn: outcome{agent.CodeUnavailable, "Cognito has an internal error"}},
	"ConcurrentModificationException":          {signIn: outcome{agent.CodeUnavailable, "Cognito has an internal error"}},
	"UnexpectedLambdaException":                {signIn: lambda},
	"UnexpectedLambdaExceptionException":       {signIn: lambda},
	"InvalidLambdaResponseException":           {signIn: lambda},
	"UserLambdaValidationException":            {signIn: outcome{agent.CodeDenied, "a Lambda trigger of the user pool refused it; ask the user pool's administrator"}},
	"InvalidUserPoolConfigurationException":    {signIn: setUpWrong},
	"InvalidSmsRoleAccessPolicyException":      {signIn: setUpWrong},
	"InvalidSmsRoleTrustRelationshipException": {signIn: setUpWrong},
	"InvalidEmailRoleAccessPolicyException":    {signIn: setUpWrong},
	"UserPoolAddOnNotEnabledException":         {signIn: setUpWrong},
	"FeatureUnavailableInTierException":        {signIn: setUpWrong},
	"CodeDeliveryFailureException":             {signIn: outcome{agent.CodeUnavailable, "Cognito could not deliver the code"}},
	"MFAMethodNotFoundException":               {signIn: noMFA},
	"SoftwareTokenMFANotFoundException":        {signIn: noMFA},
	"EnableSoftwareTokenMFAException":          {signIn: noMFA},
	"AliasExistsException":                     {signIn: outcome{agent.CodeDenied, "another user has that address already"}},
	"UnsupportedOperationException":            {signIn: off},
	"OperationNotEnabledException":             {signIn: off},
	"UnauthorizedException":                    {signIn: off},
	"UnsupportedTokenTypeException":            {signIn: off},
	"UnsupportedUserStateException":            {signIn: outcome{agent.CodeDenied, "Cognito refuses this in the user's current state"}},
	"MissingAuthenticationToken":               {signIn: gateway},
	"MissingAuthenticationTokenException":      {signIn: gateway},
	"IncompleteSignature":                      {signIn: gateway},
	"IncompleteSignatureException":             {signIn: gateway},
	"InvalidSignatureException":                {signIn: gateway},
	"UnrecognizedClientException":              {signIn: gateway},
	"UnknownOperationException":                {signIn: notThere},
	"UnknownOperation":                         {signIn: notThere},
	"Unsupported":                              {signIn: notThere},
	"NeverHeardOfException":                    {signIn: outcome{agent.CodeInternal, "Cognito answered "}},
}

var (
	otherSecret = outcome{agent.CodeConfiguration, "the configured client secret is not the one of the app client client; check client_secret_file of environment prod, which is read again by itself; after a change of client_id, run: kyc-agentd reload"}
	secretless  = outcome{agent.CodeConfiguration, "the app client client has no secret, and one is configured; remove client_secret_file"}
	tooMany     = outcome{agent.CodeThrottled, "Too many requests. Please try again later."}
	wafBlock    = outcome{agent.CodeDenied, "blocked by a firewall (WAF) in front of HOST; try from another network"}
	lambda      = outcome{agent.CodeUnavailable, "a Lambda trigger of the user pool failed"}
	setUpWrong  = outcome{agent.CodeConfiguration, "the user pool is set up wrong"}
	noMFA       = outcome{agent.CodeDenied, "Cognito finds no such MFA method for this user"}
	off         = outcome{agent.CodeConfiguration, "Cognito has switched off "}
	gateway     = outcome{agent.CodeConfiguration, "HOST is not Cognito's API: it wants a signature for "}
	notThere    = outcome{agent.CodeConfiguration, "HOST does not know the call "}
)

func unknown(string) outcome { return outcome{agent.CodeInternal, "Cognito answered "} }

func TestCodesAreAllThere(t *testing.T) {
	for _, key := range cognito.KeysForTest() {
		if _, ok := codes[key]; !ok {
			t.Errorf("%s has a mapping and no test", key)
		}
	}
}

func TestCodes(t *testing.T) {
	for key, want := range codes {
		t.Run(key, inBubble(func(t *testing.T) {
			code, _, _ := strings.Cut(key, "/")
			const echo = "eyJraWQiOiJ0b2tlbiJ9.token.echo"
			refusal := cognitotest.Refuse(code, messages[key]+" "+echo)
			srv := cognitotest.NewInMemory(cognitotest.Pool("us-east-2", "us-east-2_p", "client"))
			t.Cleanup(srv.Close)
			srv.AddUser(cognitotest.User{Name: username, Password: password, MFA: []string{"SMS_MFA"}})
			env := environment(srv)
			if strings.HasSuffix(key, "/wrong") || strings.HasSuffix(key, "/no-secret") {
				srv.Set(cognitotest.ClientSecret("s"))
				env.ClientSecret = fixedSecret("s")
			}
			a := cognito.New(cognito.Options{HTTPClient: srv.Client()})
			check := func(err error, want outcome) {
				t.Helper()
				e := wantError(t, err, want.code)
				line := "prod: " + strings.ReplaceAll(want.line, "HOST", hostOf(srv))
				if !strings.HasPrefix(withoutRequest(err), line) {
					t.Errorf("got  %q\nwant %q", err, line)
				}
				if s := fmt.Sprintf("%v %v %+v", err, e.Err, e.Err); strings.Contains(s, "echo") || strings.Contains(s, "eyJ") {
					t.Errorf("Cognito's message got out: %s", s)
				}
			}
			or := func(o outcome) outcome {
				if o == (outcome{}) {
					return want.signIn
				}
				return o
			}

			srv.FailNext(cognitotest.SignIn, -1, refusal)
			_, err := a.Login(t.Context(), env, ada(), nobodyThere)
			check(err, want.signIn)
			srv.ClearFaults()

			srv.FailNext("RespondToAuthChallenge", -1, refusal)
			_, err = a.Login(t.Context(), env, ada(), declining(always("1")))
			if expected := or(want.answer); !strings.HasPrefix(expected.line, "the new password") {
				check(err, expected)
			}
			srv.EditUser(username, func(u *cognitotest.User) { u.MFA, u.Status = nil, cognitotest.ForceChangePassword })
			_, err = a.Login(t.Context(), env, ada(), declining(always("12345678")))
			if expected := or(want.answer); strings.HasPrefix(expected.line, "the new password") {
				check(err, outcome{agent.CodeLoginRequired, "10 answers in a row were refused"})
			}
			srv.ClearFaults()

			srv.EditUser(username, func(u *cognitotest.User) { u.Status = cognitotest.Confirmed })
			g := signIn(t, a, env)
			srv.FailNext(cognitotest.Refresh, 2, refusal)
			_, err = a.Refresh(t.Context(), env, g.SignIn, nobody)
			check(err, or(want.refresh))
		}))
	}
}

// inBubble runs f in a synctest bubble, in which the pauses between tries take no time.
func inBubble(f func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

// declining answers as ask does, but declines to recover the account.
func declining(ask agent.Prompter) agent.Prompter {
	return func(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
		if c.Name == "CONFIRM_SIGN_UP" || c.Name == "PASSWORD_RESET_REQUIRED" {
			return nil, errors.New("no")
		}
		return ask(ctx, c)
	}
}

// always answers every field with value.
func always(value string) agent.Prompter {
	return func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		given := agent.Answers{}
		for _, in := range c.Fields {
			given[in.Name] = agent.NewSecret(value)
		}
		return given, nil
	}
}

// Few codes end a sign-in. Change this list with care.
func TestDefiniteCodes(t *testing.T) {
	definite := []string{
		"NotAuthorizedException", "RefreshTokenReuseException",
		"UserNotFoundException", "UserNotConfirmedException", "PasswordResetRequiredException",
	}
	for key := range codes {
		code, reason, _ := strings.Cut(key, "/")
		srv := start(t)
		a := cognito.New(cognito.Options{})
		g := signIn(t, a, environment(srv))
		srv.FailNext(cognitotest.Refresh, 2, cognitotest.Refuse(code, messages[key]))
		_, err := a.Refresh(t.Context(), environment(srv), g.SignIn, nobody)
		want := slices.Contains(definite, code) && reason != "secret" && reason != "wrong" && reason != "no-secret" && reason != "trigger"
		if got := agent.CodeOf(err) == agent.CodeLoginRequired; got != want {
			t.Errorf("%s ends a sign-in: %v, want %v", key, got, want)
		}
		// Cognito refuses with HTTP 400. With another status the same code is not a definite answer.
		srv.ClearFaults()
		srv.FailNext(cognitotest.Refresh, 2, cognitotest.RefuseStatus(http.StatusBadGateway, code, messages[key]))
		if _, err := a.Refresh(t.Context(), environment(srv), g.SignIn, nobody); agent.CodeOf(err) == agent.CodeLoginRequired {
			t.Errorf("%s with HTTP 502 ends a sign-in", key)
		}
	}
}

// A code is only shown if it is a name.
func TestImproperCodes(t *testing.T) {
	for _, code := range []string{"eyJraWQiOiJ0b2tlbiJ9.token.echo", "\x1b[2J", "x y", strings.Repeat("A", 100), "7", "lower"} {
		srv := start(t)
		body, _ := json.Marshal(map[string]string{"__type": code, "message": "m"})
		srv.FailNext(cognitotest.SignIn, 1, cognitotest.Answer(400, "application/x-amz-json-1.1", string(body)))
		_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), unasked(t))
		e := wantError(t, err, agent.CodeConfiguration, "HTTP 400 with something that is not a Cognito error")
		if s := fmt.Sprint(err, e.Err); strings.Contains(s, code) && len(code) > 1 {
			t.Errorf("%q got out: %s", code, s)
		}
	}
}
