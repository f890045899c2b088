package cognito

import (
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// This file has the tables by which errors.go translates failures.

// lockedFor is the longest time for which Cognito locks an account.
// https://docs.aws.amazon.com/cognito/latest/developerguide/authentication.html
const lockedFor = 15 * time.Minute

// Hints for what is between this machine and Cognito.
const (
	unknownCAHint = "if a proxy opens TLS here, set SSL_CERT_FILE of the agent to a file with its CA, or install that on this machine"
	// notCognitoHint is for an answer that only something else than Cognito's API gives.
	notCognitoHint = "check endpoint of environment {env}, and whether this network has a sign-in page (a portal)"
)

// Five messages are quoted word for word from the KYC API guide: "Invalid username or
// password", "User not found", "User account not confirmed. Please verify your email.",
// "Password reset required" and "Too many requests. Please try again later."
var (
	badPassword   = errorMapping{agent.CodeLoginRequired, "Invalid username or password", "check both, then {rerun}", 0}
	unknownUser   = errorMapping{agent.CodeLoginRequired, "User not found", "check the user name, then {rerun}", 0}
	refusedSignIn = errorMapping{agent.CodeDenied, "Cognito refused the sign-in, and does not say that the password is wrong",
		"ask the user pool's administrator", 0}
	refusedByTrigger = errorMapping{agent.CodeDenied, "a Lambda trigger of the user pool refused it", "ask the user pool's administrator", 0}
	locked           = errorMapping{agent.CodeThrottled, "too many failed attempts: Cognito has locked this account for a while",
		"wait (15 minutes at most), then {rerun}", lockedFor}
	disabled      = errorMapping{agent.CodeLoginRequired, "this user is disabled", "ask the user pool's administrator to enable it, then {rerun}", 0}
	secretMissing = errorMapping{agent.CodeConfiguration, "the app client {client} has a secret, and none is configured",
		"set client_secret_file of environment {env}, or its client_id to an app client without a secret, then run: kyc-agentd reload", 0}
	secretWrong = errorMapping{agent.CodeConfiguration, "the configured client secret is not the one of the app client {client}",
		"check client_secret_file of environment {env}, which is read again by itself; after a change of client_id, run: kyc-agentd reload", 0}
	secretUnneeded = errorMapping{agent.CodeConfiguration, "the app client {client} has no secret, and one is configured",
		"remove client_secret_file of environment {env}, or check its client_id, then run: kyc-agentd reload", 0}
	sessionEnded = errorMapping{agent.CodeLoginRequired, "Cognito ended the sign-in: it took too long, or there were too many wrong answers",
		"begin again: {rerun}", 0}
	// answerTakenOnce is for an answer that was sent again after a failure: the first one may
	// have arrived all the same.
	answerTakenOnce = errorMapping{agent.CodeLoginRequired, "Cognito's reply to an answer got lost, and Cognito takes each answer once",
		"begin again: {rerun}", 0}
	sessionExpired = errorMapping{agent.CodeLoginRequired, "the sign-in took longer than Cognito's 3 minutes", "begin again: {rerun}", 0}
	throttled      = errorMapping{agent.CodeThrottled, "Too many requests. Please try again later.", "{again}", 0}
	blocked        = errorMapping{agent.CodeDenied, "blocked by a firewall (WAF) in front of {host}",
		"try from another network, or ask the user pool's administrator; a stored sign-in is kept", 0}
	internalError = errorMapping{agent.CodeUnavailable, "Cognito has an internal error ({code})", "{again}", 0}
	triggerFailed = errorMapping{agent.CodeUnavailable, "a Lambda trigger of the user pool failed ({code})",
		"{again}; if it persists, tell the pool's administrator", 0}
	poolMisconfigured = errorMapping{agent.CodeConfiguration, "the user pool is set up wrong ({code})", "tell the user pool's administrator", 0}
	noSuchMFA         = errorMapping{agent.CodeDenied, "Cognito finds no such MFA method for this user ({code})",
		"ask the user pool's administrator to set up MFA for this user, then {rerun}", 0}
	noTriggers = errorMapping{agent.CodeConfiguration, "the user pool has no custom sign-in (Lambda triggers)",
		"set auth_flow of environment {env} to password, srp or choice, then run: kyc-agentd reload", 0}
	notCognito = errorMapping{agent.CodeConfiguration, "{host} is not Cognito's API: it wants a signature for {call} ({code})",
		"check endpoint of environment {env}", 0}
	unknownCall  = errorMapping{agent.CodeConfiguration, "{host} does not know the call {call}", "check endpoint of environment {env}", 0}
	callDisabled = errorMapping{agent.CodeConfiguration, "Cognito has switched off {call} for the app client {client} ({code})",
		"ask the user pool's administrator; a stored sign-in is kept", 0}
	badParameters = errorMapping{agent.CodeConfiguration, "Cognito refused the parameters of {call} ({code})",
		"check client_id and user_pool_id of environment {env}, and which flows its app client allows", 0}
)

// defaultMapping applies in every step whose own table does not have the code.
var defaultMapping = mappingTable{
	{"NotAuthorizedException/secret", secretMissing},
	{"InvalidParameterException/secret", secretMissing},
	{"NotAuthorizedException/wrong", secretWrong},
	{"InvalidParameterException/wrong", secretWrong},
	{"NotAuthorizedException/no-secret", secretUnneeded},
	{"InvalidParameterException/no-secret", secretUnneeded},
	{"NotAuthorizedException/trigger", refusedByTrigger},
	{"UserNotFoundException", unknownUser},
	{"UserNotConfirmedException", errorMapping{agent.CodeLoginRequired, "User account not confirmed. Please verify your email.",
		"run: kyc-agentd confirm {env}", 0}},
	{"PasswordResetRequiredException", errorMapping{agent.CodeLoginRequired, "Password reset required", "run: kyc-agentd password reset {env}", 0}},
	{"TooManyRequestsException", throttled},
	{"ThrottlingException", throttled},
	{"Throttling", throttled},
	{"RequestLimitExceeded", throttled},
	{"RequestThrottled", throttled},
	{"RequestThrottledException", throttled},
	{"SlowDown", throttled},
	{"LimitExceededException", errorMapping{agent.CodeThrottled, "the limit of attempts for this user is reached",
		"wait (15 minutes at most), then {rerun}", lockedFor}},
	{"TooManyFailedAttemptsException", locked},
	{"ForbiddenException", blocked},
	{"AccessDeniedException", blocked},
	{"ResourceNotFoundException", errorMapping{agent.CodeConfiguration, "{host} does not know the app client {client}",
		"check client_id, user_pool_id and region of environment {env}", 0}},
	{"InvalidParameterException", badParameters},
	{"ValidationException", badParameters},
	{"SerializationException", badParameters},
	{"InternalErrorException", internalError},
	{"InternalServerException", internalError},
	{"InternalFailure", internalError},
	{"InternalServerError", internalError},
	{"ServiceUnavailable", internalError},
	{"ServiceUnavailableException", internalError},
	{"ConcurrentModificationException", internalError},
	{"UnexpectedLambdaException", triggerFailed},
	{"UnexpectedLambdaExceptionException", triggerFailed}, // cognito-local's spelling
	{"InvalidLambdaResponseException", triggerFailed},
	{"UserLambdaValidationException", refusedByTrigger},
	{"InvalidUserPoolConfigurationException", poolMisconfigured},
	{"InvalidSmsRoleAccessPolicyException", poolMisconfigured},
	{"InvalidSmsRoleTrustRelationshipException", poolMisconfigured},
	{"InvalidEmailRoleAccessPolicyException", poolMisconfigured},
	{"UserPoolAddOnNotEnabledException", poolMisconfigured},
	{"FeatureUnavailableInTierException", poolMisconfigured},
	{"CodeDeliveryFailureException", errorMapping{agent.CodeUnavailable, "Cognito could not deliver the code",
		"{again}; if it persists, tell the pool's administrator", 0}},
	{"MFAMethodNotFoundException", noSuchMFA},
	{"SoftwareTokenMFANotFoundException", noSuchMFA},
	{"EnableSoftwareTokenMFAException", noSuchMFA},
	{"AliasExistsException", errorMapping{agent.CodeDenied, "another user has that address already",
		"ask the user pool's administrator, or use another one: {rerun}", 0}},
	{"UnsupportedOperationException", callDisabled},
	{"OperationNotEnabledException", callDisabled},
	{"UnauthorizedException", callDisabled},
	{"UnsupportedTokenTypeException", callDisabled},
	{"UnsupportedUserStateException", errorMapping{agent.CodeDenied, "Cognito refuses this in the user's current state",
		"ask the user pool's administrator", 0}},
	{"MissingAuthenticationToken", notCognito}, // of an API gateway, or of another service of AWS
	{"MissingAuthenticationTokenException", notCognito},
	{"IncompleteSignature", notCognito},
	{"IncompleteSignatureException", notCognito},
	{"InvalidSignatureException", notCognito},
	{"UnrecognizedClientException", notCognito},
	{"UnknownOperationException", unknownCall},
	{"UnknownOperation", unknownCall},
	{"Unsupported", unknownCall}, // cognito-local, with HTTP 500
}

// signInMapping is for InitiateAuth, and for challenges that are answered with the password.
var signInMapping = mappingTable{
	{"NotAuthorizedException", refusedSignIn},
	{"NotAuthorizedException/credential", badPassword},
	{"InvalidPasswordException", badPassword}, // cognito-local's word for it
	{"NotAuthorizedException/risk", errorMapping{agent.CodeDenied, "Cognito's threat protection refused the sign-in",
		"try from a network or device that this user signs in from otherwise, or ask the user pool's administrator", 0}},
	{"NotAuthorizedException/session", sessionEnded},
	{"NotAuthorizedException/attempts", locked},
	{"NotAuthorizedException/disabled", disabled},
	{"NotAuthorizedException/temporary", errorMapping{agent.CodeLoginRequired, "the temporary password has expired",
		"ask the user pool's administrator for a new one, then {rerun}", 0}},
	{"NotAuthorizedException/expired", sessionExpired},
	{"InvalidParameterException/triggers", noTriggers},
	{"InvalidParameterException/flow", errorMapping{agent.CodeConfiguration,
		"the app client {client} does not allow the auth_flow of environment {env} (it lacks {allow})",
		"set auth_flow to one that it allows (password, srp, choice), or ask the user pool's administrator to add {allow}", 0}},
}

// callbackMapping is for what the domain sends with the browser instead of a code, and
// callbackRefused for everything else (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6).
var (
	callbackMapping = mappingTable{
		{"access_denied", errorMapping{agent.CodeDenied, "the sign-in was declined, or refused by the identity provider ({code})", "begin again: {rerun}", 0}},
		{"server_error", pageFailed},
		{"temporarily_unavailable", pageFailed},
	}
	pageFailed      = errorMapping{agent.CodeUnavailable, "the sign-in page of {host} has an internal error ({code})", "{again}", 0}
	callbackRefused = errorMapping{agent.CodeConfiguration, "the sign-in page of {host} refused the sign-in ({code})",
		"check scopes and identity_provider of environment {env} against the app client {client}, or ask the user pool's administrator", 0}
)

// exchangeMapping is for the exchange of a code at the domain (RFC 6749, 5.2).
var exchangeMapping = mappingTable{
	{"invalid_grant", errorMapping{agent.CodeLoginRequired, "{host} refused the code of the browser: it was used already, or is too old", "begin again: {rerun}", 0}},
	{"invalid_client", errorMapping{agent.CodeConfiguration, "{host} does not accept the app client {client}, or not with this client secret",
		"check client_id and client_secret_file of environment {env}; then run: kyc-agentd reload", 0}},
	{"invalid_client/wrong", secretWrong},
	{"unauthorized_client", errorMapping{agent.CodeConfiguration, "the app client {client} does not allow the authorization code grant",
		"ask the user pool's administrator to allow it", 0}},
	{"invalid_request", badParameters},
	{"invalid_scope", badParameters},
	{"unsupported_grant_type", badParameters},
}

// answerMapping is for RespondToAuthChallenge, if the person cannot be asked again.
var answerMapping = mappingTable{
	{"NotAuthorizedException", sessionEnded},
	{"NotAuthorizedException/unwritable", errorMapping{agent.CodeConfiguration, "the app client {client} may not set an attribute that the user pool requires",
		"ask the user pool's administrator", 0}},
	{"NotAuthorizedException/attempts", locked},
	{"NotAuthorizedException/disabled", disabled},
	{"NotAuthorizedException/expired", sessionExpired},
	{"CodeMismatchException", errorMapping{agent.CodeLoginRequired, "wrong code", "begin again: {rerun}", 0}},
	{"ExpiredCodeException", errorMapping{agent.CodeLoginRequired, "the code has expired", "begin again: {rerun}", 0}},
	{"InvalidPasswordException", errorMapping{agent.CodeLoginRequired, "the new password does not meet the user pool's rules",
		"begin again: {rerun}", 0}},
	{"PasswordHistoryPolicyViolationException", errorMapping{agent.CodeLoginRequired, "the new password was used before", "begin again: {rerun}", 0}},
}

var (
	tokenReused = errorMapping{agent.CodeLoginRequired, "Cognito refused the refresh token: it was used a second time", "{rerun}", 0}
	// These two replace tokenReused if the use before was this agent's own.
	answerLate = errorMapping{agent.CodeLoginRequired, "Cognito's answer to an earlier refresh came too late, and Cognito does not take the same refresh token again",
		"{rerun}", 0}
	answerLost = errorMapping{agent.CodeLoginRequired, "Cognito's answer to an earlier refresh got lost, and Cognito does not take the same refresh token again",
		"{rerun}", 0}
)

// refreshMapping is for both refresh calls. A CodeLoginRequired in it ends a sign-in.
var refreshMapping = mappingTable{
	{"NotAuthorizedException", errorMapping{agent.CodeLoginRequired, "Cognito refused the refresh token: the sign-in has expired or was ended",
		"{rerun}", 0}},
	{"NotAuthorizedException/disabled", disabled},
	{"RefreshTokenReuseException", tokenReused},
	{"UserNotFoundException", errorMapping{agent.CodeLoginRequired, "User not found", "ask the user pool's administrator, then {rerun}", 0}},
	{"InvalidParameterException", errorMapping{agent.CodeConfiguration, "the app client {client} does not allow refresh tokens",
		"ask the user pool's administrator to allow ALLOW_REFRESH_TOKEN_AUTH on it; the sign-in is kept", 0}},
	{"LimitExceededException", errorMapping{agent.CodeThrottled, "the limit of attempts for this user is reached",
		"wait (15 minutes at most); the sign-in is kept", lockedFor}},
	{"TooManyFailedAttemptsException", errorMapping{agent.CodeThrottled, "too many failed attempts: Cognito has locked this account for a while",
		"wait (15 minutes at most); the sign-in is kept", lockedFor}},
}

// revokeMapping is for RevokeToken.
var revokeMapping = mappingTable{}

// globalSignOutMapping is for GlobalSignOut, with a new access token.
var globalSignOutMapping = mappingTable{
	{"NotAuthorizedException", errorMapping{agent.CodeDenied, "Cognito does not let this user end all sign-ins", "ask the user pool's administrator", 0}},
	{"NotAuthorizedException/scope", errorMapping{agent.CodeConfiguration, "this sign-in with a browser cannot end the others: it has not the scope aws.cognito.signin.user.admin",
		"add that and openid to scopes of environment {env}, then run: kyc-agentd reload, and kyc-agentd login --browser {env}", 0}},
}

// The tables that follow are for account recovery.

// forgotPasswordMapping is for ForgotPassword.
var forgotPasswordMapping = mappingTable{
	{"LimitExceededException", hourlyLimit},
	{"TooManyFailedAttemptsException", hourlyLimit},
	{"NotAuthorizedException", errorMapping{agent.CodeDenied, "Cognito does not reset the password of this user",
		"ask the user pool's administrator", 0}},
	// Users of another provider (Google, SAML) have no password, and get the same answer.
	{"NotAuthorizedException/state", errorMapping{agent.CodeDenied,
		"Cognito does not reset the password of an account that was never used, or that signs in through another provider",
		"for another provider, {browser}; with a temporary password, run: kyc-agentd login {env}", 0}},
	{"NotAuthorizedException/disabled", disabled},
	{"InvalidParameterException/address", errorMapping{agent.CodeDenied, "this account has no verified e-mail address or phone number to send a code to",
		"ask the user pool's administrator to set a new password", 0}},
	{"UserNotConfirmedException", errorMapping{agent.CodeDenied, "User account not confirmed. Please verify your email.", "run: kyc-agentd confirm {env}", 0}},
}

// resetPasswordMapping is for ConfirmForgotPassword.
var resetPasswordMapping = mappingTable{
	{"LimitExceededException", hourlyLimit},
	{"TooManyFailedAttemptsException", hourlyLimit},
	{"NotAuthorizedException", errorMapping{agent.CodeDenied, "Cognito does not set a new password for this user", "ask the user pool's administrator", 0}},
	{"NotAuthorizedException/disabled", disabled},
}

// confirmMapping is for ConfirmSignUp.
var confirmMapping = mappingTable{
	{"LimitExceededException", hourlyLimit},
	{"TooManyFailedAttemptsException", hourlyLimit},
	{"NotAuthorizedException", errorMapping{agent.CodeDenied, "Cognito does not confirm this account", "ask the user pool's administrator", 0}},
	{"NotAuthorizedException/confirmed", alreadyConfirmed},
	{"NotAuthorizedException/disabled", disabled},
}

// resendMapping is for ResendConfirmationCode.
var resendMapping = mappingTable{
	{"LimitExceededException", hourlyLimit},
	{"TooManyFailedAttemptsException", hourlyLimit},
	{"NotAuthorizedException", errorMapping{agent.CodeDenied, "Cognito does not send a code to this account", "ask the user pool's administrator", 0}},
	{"NotAuthorizedException/disabled", disabled},
	{"InvalidParameterException/confirmed", alreadyConfirmed},
	{"InvalidParameterException/address", errorMapping{agent.CodeDenied, "the user pool does not send confirmation codes",
		"ask the user pool's administrator to confirm the account", 0}},
}

// changePasswordMapping is for ChangePassword, with a new access token.
var changePasswordMapping = mappingTable{
	{"LimitExceededException", hourlyLimit},
	{"TooManyFailedAttemptsException", hourlyLimit},
	{"NotAuthorizedException", errorMapping{agent.CodeLoginRequired, "Cognito refused the current password", "{rerun}", 0}},
	{"NotAuthorizedException/disabled", disabled},
}

var (
	// passwordMayBeSet is for a call that was made again after a failure: the first one may have
	// set the password all the same.
	passwordMayBeSet = errorMapping{agent.CodeLoginRequired, "Cognito's reply got lost, and the new password may be set already",
		"sign in with it: kyc-agentd login {env}; if it is refused, {rerun}", 0}
	alreadyConfirmed = errorMapping{agent.CodeUsage, "this account is confirmed already", "run: kyc-agentd login {env}", 0}
	// Cognito limits, per hour, how many codes it sends and how many wrong ones a user may give.
	// https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html
	hourlyLimit = errorMapping{agent.CodeThrottled, "the limit of attempts for this user is reached", "wait (an hour at most), then {rerun}", time.Hour}
)
