package cognito

import (
	"fmt"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// A meaning is what an error code of Cognito's is to a person, and to the agent.
//
// In message and hint {env} is the environment's name, {client} the app client's
// id, {host} who answered, {call} the call, {code} Cognito's code, {login} the
// command to sign in, and {again} what follows from waiting: at a sign-in the
// person tries again, at a refresh the agent does.
type meaning struct {
	code    agent.Code
	message string
	hint    string
	wait    time.Duration // when trying again makes sense; 0 when Cognito's rules do not tell
}

// lockedFor is how long Cognito locks an account at most.
// https://docs.aws.amazon.com/cognito/latest/developerguide/authentication.html
const lockedFor = 15 * time.Minute

// A phase is where in a task a call fails: the same code means different things.
// Keys are codes, or code/reason where Cognito's message tells more.
type phase map[string]meaning

// Five messages are the KYC API guide's own, word for word: "Invalid username or
// password", "User not found", "User account not confirmed. Please verify your email.",
// "Password reset required" and "Too many requests. Please try again later."
var (
	badPassword = meaning{agent.CodeLoginRequired, "Invalid username or password", "check both, then {login}", 0}
	locked      = meaning{agent.CodeThrottled, "too many failed attempts: Cognito has locked this account for a while",
		"wait (15 minutes at most), then {login}", lockedFor}
	disabled = meaning{agent.CodeLoginRequired, "this user is disabled", "ask the user pool's administrator to enable it, then {login}", 0}
	secret   = meaning{agent.CodeConfiguration, "the app client {client} has a secret, which this version does not send",
		"set client_id of environment {env} to an app client without a secret", 0}
	throttled = meaning{agent.CodeThrottled, "Too many requests. Please try again later.", "{again}", 0}
	blocked   = meaning{agent.CodeDenied, "blocked by a firewall (WAF) in front of {host}",
		"try from another network, or ask the user pool's administrator; a sign-in that is kept stays", 0}
	broken    = meaning{agent.CodeUnavailable, "Cognito has an internal error ({code})", "{again}", 0}
	trigger   = meaning{agent.CodeUnavailable, "a Lambda trigger of the user pool failed ({code})", "{again}; if it stays, tell the pool's administrator", 0}
	poolSetup = meaning{agent.CodeConfiguration, "the user pool is set up wrong ({code})", "tell the user pool's administrator", 0}
	noSuchMFA = meaning{agent.CodeDenied, "Cognito finds no such MFA method for this user ({code})", "ask the user pool's administrator to set up MFA for this user, then {login}", 0}
	noSuchAPI = meaning{agent.CodeConfiguration, "{host} does not know the call {call}", "check endpoint of environment {env}", 0}
	switched  = meaning{agent.CodeConfiguration, "Cognito has {call} switched off for the app client {client} ({code})",
		"ask the user pool's administrator; a sign-in that is kept stays", 0}
	badInput = meaning{agent.CodeConfiguration, "Cognito refused the parameters of {call} ({code})",
		"check client_id and user_pool_id of environment {env}, and which flows its app client allows", 0}
)

// Everywhere, unless the phase has a meaning of its own.
var everywhere = phase{
	"NotAuthorizedException/secret":            secret,
	"InvalidParameterException/secret":         secret,
	"UserNotFoundException":                    {agent.CodeLoginRequired, "User not found", "check the user name, then {login}", 0},
	"UserNotConfirmedException":                {agent.CodeLoginRequired, "User account not confirmed. Please verify your email.", "then {login}", 0},
	"PasswordResetRequiredException":           {agent.CodeLoginRequired, "Password reset required", "ask the user pool's administrator how to set a new password, then {login}", 0},
	"TooManyRequestsException":                 throttled,
	"ThrottlingException":                      throttled,
	"Throttling":                               throttled,
	"RequestLimitExceeded":                     throttled,
	"RequestThrottled":                         throttled,
	"RequestThrottledException":                throttled,
	"SlowDown":                                 throttled,
	"LimitExceededException":                   {agent.CodeThrottled, "the limit of attempts for this user is reached", "wait (15 minutes at most), then {login}", lockedFor},
	"TooManyFailedAttemptsException":           locked,
	"ForbiddenException":                       blocked,
	"AccessDeniedException":                    blocked,
	"ResourceNotFoundException":                {agent.CodeConfiguration, "{host} does not know the app client {client}", "check client_id, user_pool_id and region of environment {env}", 0},
	"InvalidParameterException":                badInput,
	"ValidationException":                      badInput,
	"SerializationException":                   badInput,
	"InternalErrorException":                   broken,
	"InternalServerException":                  broken,
	"InternalFailure":                          broken,
	"InternalServerError":                      broken,
	"ServiceUnavailable":                       broken,
	"ServiceUnavailableException":              broken,
	"ConcurrentModificationException":          broken,
	"UnexpectedLambdaException":                trigger,
	"UnexpectedLambdaExceptionException":       trigger, // cognito-local's spelling
	"InvalidLambdaResponseException":           trigger,
	"UserLambdaValidationException":            {agent.CodeDenied, "a check of the user pool's own (Lambda trigger) refused it", "ask the user pool's administrator", 0},
	"InvalidUserPoolConfigurationException":    poolSetup,
	"InvalidSmsRoleAccessPolicyException":      poolSetup,
	"InvalidSmsRoleTrustRelationshipException": poolSetup,
	"InvalidEmailRoleAccessPolicyException":    poolSetup,
	"UserPoolAddOnNotEnabledException":         poolSetup,
	"FeatureUnavailableInTierException":        poolSetup,
	"CodeDeliveryFailureException":             {agent.CodeUnavailable, "Cognito could not deliver the code", "{again}; if it stays, tell the pool's administrator", 0},
	"MFAMethodNotFoundException":               noSuchMFA,
	"SoftwareTokenMFANotFoundException":        noSuchMFA,
	"EnableSoftwareTokenMFAException":          noSuchMFA,
	"AliasExistsException":                     {agent.CodeDenied, "another user has that address already", "ask the user pool's administrator, or use another one: {login}", 0},
	"UnsupportedOperationException":            switched,
	"OperationNotEnabledException":             switched,
	"UnauthorizedException":                    switched,
	"UnsupportedTokenTypeException":            switched,
	"UnsupportedUserStateException":            {agent.CodeDenied, "Cognito refuses it in this user's state", "ask the user pool's administrator", 0},
	"UnknownOperationException":                noSuchAPI,
	"UnknownOperation":                         noSuchAPI,
	"Unsupported":                              noSuchAPI, // cognito-local, with HTTP 500
}

// atSignIn is InitiateAuth with a password.
var atSignIn = phase{
	"NotAuthorizedException":           badPassword,
	"InvalidPasswordException":         badPassword, // cognito-local's word for it
	"NotAuthorizedException/attempts":  locked,
	"NotAuthorizedException/disabled":  disabled,
	"NotAuthorizedException/temporary": {agent.CodeLoginRequired, "the temporary password has expired", "ask the user pool's administrator for a new one, then {login}", 0},
	"InvalidParameterException/flow": {agent.CodeConfiguration, "the app client {client} does not allow a sign-in by password",
		"ask the user pool's administrator to allow ALLOW_USER_PASSWORD_AUTH on it", 0},
}

// atAnswer is RespondToAuthChallenge, once the person cannot be asked again.
var atAnswer = phase{
	"NotAuthorizedException":                  {agent.CodeLoginRequired, "Cognito ended the sign-in: it took too long, or there were too many wrong answers", "begin again: {login}", 0},
	"NotAuthorizedException/attempts":         locked,
	"NotAuthorizedException/disabled":         disabled,
	"CodeMismatchException":                   {agent.CodeLoginRequired, "wrong code", "begin again: {login}", 0},
	"ExpiredCodeException":                    {agent.CodeLoginRequired, "the code has expired", "begin again: {login}", 0},
	"InvalidPasswordException":                {agent.CodeLoginRequired, "the new password does not meet the user pool's rules", "begin again: {login}", 0},
	"PasswordHistoryPolicyViolationException": {agent.CodeLoginRequired, "the new password was used before", "begin again: {login}", 0},
}

// atRefresh is either refresh call. CodeLoginRequired here ends a sign-in.
var atRefresh = phase{
	"NotAuthorizedException":          {agent.CodeLoginRequired, "Cognito refused the refresh token: the sign-in has expired or was ended", "{login}", 0},
	"NotAuthorizedException/disabled": disabled,
	"RefreshTokenReuseException":      {agent.CodeLoginRequired, "Cognito refused the refresh token: it was used a second time", "{login}", 0},
	"UserNotFoundException":           {agent.CodeLoginRequired, "User not found", "ask the user pool's administrator, then {login}", 0},
	"InvalidParameterException": {agent.CodeConfiguration, "the app client {client} does not allow refresh tokens",
		"ask the user pool's administrator to allow ALLOW_REFRESH_TOKEN_AUTH on it; the sign-in is kept", 0},
	"LimitExceededException":         {agent.CodeThrottled, "the limit of attempts for this user is reached", "wait (15 minutes at most); the sign-in is kept", lockedFor},
	"TooManyFailedAttemptsException": {agent.CodeThrottled, "too many failed attempts: Cognito has locked this account for a while", "wait (15 minutes at most); the sign-in is kept", lockedFor},
}

// atRevoke is RevokeToken.
var atRevoke = phase{}

// failed turns a failure into the agent's error.
func (t *task) failed(p phase, f *failure) *agent.Error {
	m := meaningOf(p, f)
	fill := strings.NewReplacer(
		"{again}", t.again(), "{login}", t.login(), "{env}", t.env.Name, "{client}", t.env.ClientID,
		"{host}", f.host, "{call}", f.call, "{code}", f.code,
	)
	e := &agent.Error{
		Code: m.code, Op: t.op, Environment: t.env.Name,
		Message: fill.Replace(m.message), Hint: fill.Replace(m.hint),
		RetryAfter: max(m.wait, f.retryAfter), Err: f,
	}
	return e
}

// meaningOf finds what f means in phase p.
func meaningOf(p phase, f *failure) meaning {
	if f.code == "" {
		return codeless(f)
	}
	m, ok := lookUp(p, f)
	switch {
	case f.missing():
		return noSuchAPI
	case f.status >= 500:
		return broken // whatever it says: Cognito's own refusals are HTTP 400
	case ok:
		return m
	}
	return meaning{agent.CodeInternal, "Cognito answered {call} with {code}, which this version does not know", "{again}", 0}
}

func lookUp(p phase, f *failure) (meaning, bool) {
	for _, key := range []string{f.code + "/" + string(f.reason), f.code} {
		for _, in := range []phase{p, everywhere} {
			if m, ok := in[key]; ok {
				return m, true
			}
		}
	}
	return meaning{}, false
}

// missing reports whether the answer was that there is no such operation.
func (f *failure) missing() bool { return everywhere[f.code] == noSuchAPI }

// codeless is what a failure without a code of Cognito's means: something in
// between answered, or nobody did.
func codeless(f *failure) meaning {
	switch f.status {
	case 403:
		return blocked
	case 429:
		return throttled
	}
	return meaning{agent.CodeUnavailable, f.words, "{again}", 0}
}

// errorf makes an error that no answer of Cognito's stands behind.
func (t *task) errorf(code agent.Code, hint, format string, args ...any) *agent.Error {
	return &agent.Error{Code: code, Op: t.op, Environment: t.env.Name, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func (t *task) login() string { return "run: kyc-agentd login " + t.env.Name }

func (t *task) again() string {
	if t.op == "refresh" {
		return "the agent tries again by itself"
	}
	if t.op == "revoke" {
		return "the sign-in stays valid at Cognito until it expires"
	}
	return "wait a minute, then " + t.login()
}
