package cognito

import (
	"fmt"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// An errorMapping is what an error code of Cognito's is to a person, and to the agent.
//
// In message and hint {env} is the environment's name, {client} the app client's
// id, {host} who answered, {call} the call, {code} Cognito's code, {allow} what the app
// client must have for the flow, {rerun} the command to begin again (at a refresh, to sign
// in), and {again} what follows from waiting: at a sign-in the person tries again, at a
// refresh the agent does.
type errorMapping struct {
	code       agent.Code
	message    string
	hint       string
	retryAfter time.Duration // when trying again makes sense; 0 when Cognito's rules do not tell
}

// lockedFor is how long Cognito locks an account at most.
// https://docs.aws.amazon.com/cognito/latest/developerguide/authentication.html
const lockedFor = 15 * time.Minute

// A mappingTable is where in a task a call fails: the same code means different things.
// Keys are codes, or code/reason where Cognito's message tells more.
type mappingTable map[string]errorMapping

// Five messages are the KYC API guide's own, word for word: "Invalid username or
// password", "User not found", "User account not confirmed. Please verify your email.",
// "Password reset required" and "Too many requests. Please try again later."
var (
	badPassword = errorMapping{agent.CodeLoginRequired, "Invalid username or password", "check both, then {rerun}", 0}
	locked      = errorMapping{agent.CodeThrottled, "too many failed attempts: Cognito has locked this account for a while",
		"wait (15 minutes at most), then {rerun}", lockedFor}
	disabled      = errorMapping{agent.CodeLoginRequired, "this user is disabled", "ask the user pool's administrator to enable it, then {rerun}", 0}
	secretMissing = errorMapping{agent.CodeConfiguration, "the app client {client} has a secret, and none is configured",
		"set client_secret_file of environment {env}, or its client_id to an app client without a secret, then run: kyc-agentd reload", 0}
	secretWrong = errorMapping{agent.CodeConfiguration, "the client secret that is configured is not that of the app client {client}",
		"check client_secret_file and client_id of environment {env}, then run: kyc-agentd reload", 0}
	secretUnneeded = errorMapping{agent.CodeConfiguration, "the app client {client} has no secret, and one is configured",
		"remove client_secret_file of environment {env}, or check its client_id, then run: kyc-agentd reload", 0}
	sessionExpired = errorMapping{agent.CodeLoginRequired, "the sign-in took longer than Cognito's 3 minutes", "begin again: {rerun}", 0}
	throttled      = errorMapping{agent.CodeThrottled, "Too many requests. Please try again later.", "{again}", 0}
	blocked        = errorMapping{agent.CodeDenied, "blocked by a firewall (WAF) in front of {host}",
		"try from another network, or ask the user pool's administrator; a sign-in that is kept stays", 0}
	internalError     = errorMapping{agent.CodeUnavailable, "Cognito has an internal error ({code})", "{again}", 0}
	triggerFailed     = errorMapping{agent.CodeUnavailable, "a Lambda trigger of the user pool failed ({code})", "{again}; if it stays, tell the pool's administrator", 0}
	poolMisconfigured = errorMapping{agent.CodeConfiguration, "the user pool is set up wrong ({code})", "tell the user pool's administrator", 0}
	noSuchMFA         = errorMapping{agent.CodeDenied, "Cognito finds no such MFA method for this user ({code})", "ask the user pool's administrator to set up MFA for this user, then {rerun}", 0}
	unknownCall       = errorMapping{agent.CodeConfiguration, "{host} does not know the call {call}", "check endpoint of environment {env}", 0}
	callDisabled      = errorMapping{agent.CodeConfiguration, "Cognito has {call} switched off for the app client {client} ({code})",
		"ask the user pool's administrator; a sign-in that is kept stays", 0}
	badParameters = errorMapping{agent.CodeConfiguration, "Cognito refused the parameters of {call} ({code})",
		"check client_id and user_pool_id of environment {env}, and which flows its app client allows", 0}
)

// Everywhere, unless the phase has a meaning of its own.
var defaultMapping = mappingTable{
	"NotAuthorizedException/secret":            secretMissing,
	"InvalidParameterException/secret":         secretMissing,
	"NotAuthorizedException/wrong":             secretWrong,
	"InvalidParameterException/wrong":          secretWrong,
	"NotAuthorizedException/no-secret":         secretUnneeded,
	"InvalidParameterException/no-secret":      secretUnneeded,
	"UserNotFoundException":                    {agent.CodeLoginRequired, "User not found", "check the user name, then {rerun}", 0},
	"UserNotConfirmedException":                {agent.CodeLoginRequired, "User account not confirmed. Please verify your email.", "run: kyc-agentd confirm {env}", 0},
	"PasswordResetRequiredException":           {agent.CodeLoginRequired, "Password reset required", "run: kyc-agentd password reset {env}", 0},
	"TooManyRequestsException":                 throttled,
	"ThrottlingException":                      throttled,
	"Throttling":                               throttled,
	"RequestLimitExceeded":                     throttled,
	"RequestThrottled":                         throttled,
	"RequestThrottledException":                throttled,
	"SlowDown":                                 throttled,
	"LimitExceededException":                   {agent.CodeThrottled, "the limit of attempts for this user is reached", "wait (15 minutes at most), then {rerun}", lockedFor},
	"TooManyFailedAttemptsException":           locked,
	"ForbiddenException":                       blocked,
	"AccessDeniedException":                    blocked,
	"ResourceNotFoundException":                {agent.CodeConfiguration, "{host} does not know the app client {client}", "check client_id, user_pool_id and region of environment {env}", 0},
	"InvalidParameterException":                badParameters,
	"ValidationException":                      badParameters,
	"SerializationException":                   badParameters,
	"InternalErrorException":                   internalError,
	"InternalServerException":                  internalError,
	"InternalFailure":                          internalError,
	"InternalServerError":                      internalError,
	"ServiceUnavailable":                       internalError,
	"ServiceUnavailableException":              internalError,
	"ConcurrentModificationException":          internalError,
	"UnexpectedLambdaException":                triggerFailed,
	"UnexpectedLambdaExceptionException":       triggerFailed, // cognito-local's spelling
	"InvalidLambdaResponseException":           triggerFailed,
	"UserLambdaValidationException":            {agent.CodeDenied, "a check of the user pool's own (Lambda trigger) refused it", "ask the user pool's administrator", 0},
	"InvalidUserPoolConfigurationException":    poolMisconfigured,
	"InvalidSmsRoleAccessPolicyException":      poolMisconfigured,
	"InvalidSmsRoleTrustRelationshipException": poolMisconfigured,
	"InvalidEmailRoleAccessPolicyException":    poolMisconfigured,
	"UserPoolAddOnNotEnabledException":         poolMisconfigured,
	"FeatureUnavailableInTierException":        poolMisconfigured,
	"CodeDeliveryFailureException":             {agent.CodeUnavailable, "Cognito could not deliver the code", "{again}; if it stays, tell the pool's administrator", 0},
	"MFAMethodNotFoundException":               noSuchMFA,
	"SoftwareTokenMFANotFoundException":        noSuchMFA,
	"EnableSoftwareTokenMFAException":          noSuchMFA,
	"AliasExistsException":                     {agent.CodeDenied, "another user has that address already", "ask the user pool's administrator, or use another one: {rerun}", 0},
	"UnsupportedOperationException":            callDisabled,
	"OperationNotEnabledException":             callDisabled,
	"UnauthorizedException":                    callDisabled,
	"UnsupportedTokenTypeException":            callDisabled,
	"UnsupportedUserStateException":            {agent.CodeDenied, "Cognito refuses it in this user's state", "ask the user pool's administrator", 0},
	"UnknownOperationException":                unknownCall,
	"UnknownOperation":                         unknownCall,
	"Unsupported":                              unknownCall, // cognito-local, with HTTP 500
}

// signInMapping is InitiateAuth, and a challenge that takes the password.
var signInMapping = mappingTable{
	"NotAuthorizedException":           badPassword,
	"InvalidPasswordException":         badPassword, // cognito-local's word for it
	"NotAuthorizedException/attempts":  locked,
	"NotAuthorizedException/disabled":  disabled,
	"NotAuthorizedException/temporary": {agent.CodeLoginRequired, "the temporary password has expired", "ask the user pool's administrator for a new one, then {rerun}", 0},
	"NotAuthorizedException/expired":   sessionExpired,
	"InvalidParameterException/flow": {agent.CodeConfiguration, "the app client {client} does not allow the auth_flow of environment {env} (it lacks {allow})",
		"set auth_flow to one that it allows (password, srp, choice), or ask the user pool's administrator to add {allow}", 0},
}

// answerMapping is RespondToAuthChallenge, once the person cannot be asked again.
var answerMapping = mappingTable{
	"NotAuthorizedException":                  {agent.CodeLoginRequired, "Cognito ended the sign-in: it took too long, or there were too many wrong answers", "begin again: {rerun}", 0},
	"NotAuthorizedException/attempts":         locked,
	"NotAuthorizedException/disabled":         disabled,
	"NotAuthorizedException/expired":          sessionExpired,
	"CodeMismatchException":                   {agent.CodeLoginRequired, "wrong code", "begin again: {rerun}", 0},
	"ExpiredCodeException":                    {agent.CodeLoginRequired, "the code has expired", "begin again: {rerun}", 0},
	"InvalidPasswordException":                {agent.CodeLoginRequired, "the new password does not meet the user pool's rules", "begin again: {rerun}", 0},
	"PasswordHistoryPolicyViolationException": {agent.CodeLoginRequired, "the new password was used before", "begin again: {rerun}", 0},
}

// refreshMapping is either refresh call. CodeLoginRequired here ends a sign-in.
var refreshMapping = mappingTable{
	"NotAuthorizedException":          {agent.CodeLoginRequired, "Cognito refused the refresh token: the sign-in has expired or was ended", "{rerun}", 0},
	"NotAuthorizedException/disabled": disabled,
	"RefreshTokenReuseException":      {agent.CodeLoginRequired, "Cognito refused the refresh token: it was used a second time", "{rerun}", 0},
	"UserNotFoundException":           {agent.CodeLoginRequired, "User not found", "ask the user pool's administrator, then {rerun}", 0},
	"InvalidParameterException": {agent.CodeConfiguration, "the app client {client} does not allow refresh tokens",
		"ask the user pool's administrator to allow ALLOW_REFRESH_TOKEN_AUTH on it; the sign-in is kept", 0},
	"LimitExceededException":         {agent.CodeThrottled, "the limit of attempts for this user is reached", "wait (15 minutes at most); the sign-in is kept", lockedFor},
	"TooManyFailedAttemptsException": {agent.CodeThrottled, "too many failed attempts: Cognito has locked this account for a while", "wait (15 minutes at most); the sign-in is kept", lockedFor},
}

// revokeMapping is RevokeToken.
var revokeMapping = mappingTable{}

// globalSignOutMapping is GlobalSignOut, with an access token that is new.
var globalSignOutMapping = mappingTable{
	"NotAuthorizedException": {agent.CodeDenied, "Cognito does not let this user end all sign-ins", "ask the user pool's administrator", 0},
}

// The phases of mending an account. atForgot is ForgotPassword.
var forgotPasswordMapping = mappingTable{
	"LimitExceededException":         hourlyLimit,
	"TooManyFailedAttemptsException": hourlyLimit,
	"NotAuthorizedException": {agent.CodeDenied, "Cognito does not reset the password of this user",
		"ask the user pool's administrator", 0},
	"NotAuthorizedException/state": {agent.CodeDenied, "Cognito does not reset the password of an account that was never used",
		"sign in with the temporary password, run: kyc-agentd login {env}; or ask the user pool's administrator", 0},
	"NotAuthorizedException/disabled": disabled,
	"InvalidParameterException/address": {agent.CodeDenied, "this account has no verified e-mail address or phone number that a code could go to",
		"ask the user pool's administrator to set a new password", 0},
	"UserNotConfirmedException": {agent.CodeDenied, "User account not confirmed. Please verify your email.", "run: kyc-agentd confirm {env}", 0},
}

// resetPasswordMapping is ConfirmForgotPassword.
var resetPasswordMapping = mappingTable{
	"LimitExceededException":          hourlyLimit,
	"TooManyFailedAttemptsException":  hourlyLimit,
	"NotAuthorizedException":          {agent.CodeDenied, "Cognito does not set a new password for this user", "ask the user pool's administrator", 0},
	"NotAuthorizedException/disabled": disabled,
}

// confirmMapping is ConfirmSignUp.
var confirmMapping = mappingTable{
	"LimitExceededException":           hourlyLimit,
	"TooManyFailedAttemptsException":   hourlyLimit,
	"NotAuthorizedException":           {agent.CodeDenied, "Cognito does not confirm this account", "ask the user pool's administrator", 0},
	"NotAuthorizedException/confirmed": alreadyConfirmed,
	"NotAuthorizedException/disabled":  disabled,
}

// resendMapping is ResendConfirmationCode.
var resendMapping = mappingTable{
	"LimitExceededException":              hourlyLimit,
	"TooManyFailedAttemptsException":      hourlyLimit,
	"NotAuthorizedException":              {agent.CodeDenied, "Cognito sends this account no code", "ask the user pool's administrator", 0},
	"NotAuthorizedException/disabled":     disabled,
	"InvalidParameterException/confirmed": alreadyConfirmed,
	"InvalidParameterException/address": {agent.CodeDenied, "the user pool sends no codes to confirm accounts with",
		"ask the user pool's administrator to confirm the account", 0},
}

// changePasswordMapping is ChangePassword, with an access token that is new.
var changePasswordMapping = mappingTable{
	"LimitExceededException":          hourlyLimit,
	"TooManyFailedAttemptsException":  hourlyLimit,
	"NotAuthorizedException":          {agent.CodeLoginRequired, "Cognito refused the present password", "{rerun}", 0},
	"NotAuthorizedException/disabled": disabled,
}

var (
	alreadyConfirmed = errorMapping{agent.CodeUsage, "this account is confirmed already", "run: kyc-agentd login {env}", 0}
	// Of codes that were sent and of those that were wrong Cognito allows some in an hour.
	// https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html
	hourlyLimit = errorMapping{agent.CodeThrottled, "the limit of attempts for this user is reached", "wait (an hour at most), then {rerun}", time.Hour}
)

// errorFor turns a failure into the agent's error.
func (o *operation) errorFor(table mappingTable, f *failure) *agent.Error {
	mapping := mappingOf(table, f)
	fill := strings.NewReplacer(
		"{again}", o.retryHint(), "{rerun}", o.rerunHint(), "{env}", o.env.Name, "{client}", o.env.ClientID,
		"{host}", f.Call.Host, "{call}", f.Call.Name, "{code}", f.Code, "{allow}", string(o.flow.allow),
	)
	e := &agent.Error{
		Code: mapping.code, Op: o.name, Environment: o.env.Name,
		Message: fill.Replace(mapping.message), Hint: fill.Replace(mapping.hint),
		RetryAfter: max(mapping.retryAfter, f.RetryAfter), Err: f,
	}
	return e
}

// mappingOf finds what f means in phase p.
func mappingOf(table mappingTable, f *failure) errorMapping {
	if f.Code == "" {
		return mappingWithoutCode(f)
	}
	mapping, ok := lookUpMapping(table, f)
	switch {
	case f.isUnknownCall():
		return unknownCall
	case f.Status >= 500:
		return internalError // whatever it says: Cognito's own refusals are HTTP 400
	case ok:
		return mapping
	}
	return errorMapping{agent.CodeInternal, "Cognito answered {call} with {code}, which this version does not know", "{again}", 0}
}

func lookUpMapping(table mappingTable, f *failure) (errorMapping, bool) {
	for _, key := range []string{f.Code + "/" + string(f.reason), f.Code} {
		for _, in := range []mappingTable{table, defaultMapping} {
			if mapping, ok := in[key]; ok {
				return mapping, true
			}
		}
	}
	return errorMapping{}, false
}

// isUnknownCall reports whether the answer was that there is no such operation.
func (f *failure) isUnknownCall() bool { return defaultMapping[f.Code] == unknownCall }

// mappingWithoutCode is what a failure without a code of Cognito's means: something in
// between answered, or nobody did.
func mappingWithoutCode(f *failure) errorMapping {
	switch f.Status {
	case 403:
		return blocked
	case 429:
		return throttled
	}
	return errorMapping{agent.CodeUnavailable, f.Text, "{again}", 0}
}

// errorf makes an error that no answer of Cognito's stands behind.
func (o *operation) errorf(code agent.Code, hint, format string, args ...any) *agent.Error {
	return &agent.Error{Code: code, Op: o.name, Environment: o.env.Name, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func (o *operation) rerunHint() string { return "run: " + o.command }

// ended says that the task ended by what follows.
func (o *operation) ended() string {
	if o.name == "recover" {
		return ""
	}
	return "the sign-in was "
}

func (o *operation) retryHint() string {
	if o.name == "refresh" {
		return "the agent tries again by itself"
	}
	if o.allSignIns {
		return "the other sign-ins stay valid at Cognito until they expire; to end them, " + o.rerunHint()
	}
	if o.name == "revoke" {
		return "the sign-in stays valid at Cognito until it expires"
	}
	return "wait a minute, then " + o.rerunHint()
}
