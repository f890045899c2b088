package awscreds

import (
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// A failure is the error of a call (see awscall.Failure). errorFor translates it into the
// agent's error.
type failure struct {
	awscall.Failure
	expired bool // the server's message says that the ID token has expired
}

// saysExpired reports whether a message is about an expired ID token. An identity pool refuses
// such a token with NotAuthorizedException, which has many other meanings; only the message
// tells them apart ("Invalid login token. Token expired: …"). AWS does not document its
// messages.
func saysExpired(message string) bool {
	return strings.Contains(strings.ToLower(message), "token expired")
}

// An errorMapping translates an error code of AWS into the agent's code, message and hint.
//
// In message and hint {env} stands for the environment's name, {pool} for the identity pool,
// {role} for the role, {userpool} and {client} for the user pool and app client of the
// sign-in, {issuer} for the user pool's name in IAM, {region} for the region in which STS was
// called, {call} for the call and {code} for AWS's code.
type errorMapping struct {
	code    agent.Code
	message string
	hint    string
}

const retryHint = "try again"

const askForOIDC = "ask the account's administrator to make {issuer} an identity provider in IAM, " +
	"with {client} as audience, then run: kyc-agentd reload"

var (
	tokenExpired  = errorMapping{agent.CodeDenied, "AWS considers the ID token expired", "check this machine's clock"}
	throttled     = errorMapping{agent.CodeThrottled, "AWS is throttling requests", retryHint + " in a minute"}
	internalError = errorMapping{agent.CodeUnavailable, "AWS has an internal error at {call} ({code})", retryHint}
	badParameters = errorMapping{agent.CodeConfiguration, "AWS refused the parameters of {call} ({code})",
		"check identity_pool_id, role_arn and aws_role_arn of environment {env}, then run: kyc-agentd reload"}
	tokenRefused = errorMapping{agent.CodeDenied, "the identity pool {pool} refused the ID token ({code})",
		"ask its administrator to name the user pool {userpool} and the app client {client} as its provider, then run: kyc-agentd reload"}
	roleRefused = errorMapping{agent.CodeDenied, "AWS does not let this sign-in assume the role {role}",
		"ask the account's administrator to add {issuer} and the audience {client} to its trust policy, then run: kyc-agentd reload"}
	noProvider  = errorMapping{agent.CodeConfiguration, "AWS knows no identity provider for this ID token ({code})", askForOIDC}
	unknownCall = errorMapping{agent.CodeConfiguration, "the endpoint does not know the call {call} ({code})",
		"check aws_endpoint of environment {env}, then run: kyc-agentd reload"}
)

// errorMappings is no map: the compiler writes a slice into the program, while a map is built
// at each start.
var errorMappings = []struct {
	code    string
	mapping errorMapping
}{
	{"TooManyRequestsException", throttled},
	{"LimitExceededException", throttled},
	{"Throttling", throttled},
	{"ThrottlingException", throttled},
	{"RequestLimitExceeded", throttled},
	{"RequestThrottledException", throttled},
	{"SlowDown", throttled},

	{"InternalErrorException", internalError},
	{"InternalFailure", internalError},
	{"InternalServerError", internalError},
	{"ServiceUnavailable", internalError},
	{"ResourceConflictException", internalError}, // two sign-ins of one user at the same moment
	{"ExternalServiceException", internalError},
	{"ConcurrentModificationException", internalError},
	{"IDPCommunicationError", internalError}, // STS could not fetch the user pool's keys
	{"IDPCommunicationErrorException", internalError},

	{"InvalidParameterException", badParameters},
	{"ValidationError", badParameters},
	{"ValidationException", badParameters},
	{"InvalidParameterValue", badParameters},
	{"MissingParameter", badParameters},
	{"SerializationException", badParameters},
	{"InvalidAction", unknownCall},
	{"UnknownOperationException", unknownCall},

	{"NotAuthorizedException", tokenRefused},
	{"ForbiddenException", tokenRefused},
	{"ResourceNotFoundException", errorMapping{agent.CodeConfiguration, "there is no identity pool {pool}",
		"check identity_pool_id of environment {env}, then run: kyc-agentd reload"}},
	{"InvalidIdentityPoolConfigurationException", errorMapping{agent.CodeConfiguration,
		"the identity pool {pool} has no role for this user, or one that does not trust it ({code})",
		"ask its administrator, or set role_arn of environment {env}, then run: kyc-agentd reload"}},

	{"AccessDenied", roleRefused},
	{"AccessDeniedException", roleRefused},
	{"ExpiredToken", tokenExpired},
	{"ExpiredTokenException", tokenExpired},
	{"InvalidIdentityToken", noProvider},
	{"InvalidIdentityTokenException", noProvider},
	{"IDPRejectedClaim", errorMapping{agent.CodeDenied, "AWS refused a claim of the ID token ({code})", askForOIDC}},
	{"IDPRejectedClaimException", errorMapping{agent.CodeDenied, "AWS refused a claim of the ID token ({code})", askForOIDC}},
	{"RegionDisabledException", errorMapping{agent.CodeConfiguration, "STS is switched off in {region} for this account",
		"ask the account's administrator to activate it"}},
}

// errorFor translates a failure into the agent's error.
func (o *operation) errorFor(f *failure) *agent.Error {
	mapping := mappingOf(f)
	role := o.env.AWSRoleARN
	if role == "" {
		role = o.env.RoleARN
	}
	fill := strings.NewReplacer(
		"{env}", o.env.Name, "{pool}", o.env.IdentityPoolID, "{role}", role, "{userpool}", o.env.UserPoolID,
		"{client}", o.env.ClientID, "{issuer}", o.provider(), "{region}", o.env.Region, "{call}", f.Call.Name, "{code}", f.Code,
	)
	e := o.errorf(mapping.code, fill.Replace(mapping.hint), "%s", fill.Replace(mapping.message))
	e.RetryAfter, e.Err = f.RetryAfter, f
	if mapping == tokenExpired {
		e.Err = fmt.Errorf("%w: %w", agent.ErrIDTokenExpired, f)
	}
	return e
}

func lookUpMapping(code string) (errorMapping, bool) {
	for i := range errorMappings {
		if errorMappings[i].code == code {
			return errorMappings[i].mapping, true
		}
	}
	return errorMapping{}, false
}

// mappingOf returns the errorMapping of f.
func mappingOf(f *failure) errorMapping {
	mapping, known := lookUpMapping(f.Code)
	switch {
	case f.Code == "" && f.Status == 429:
		return throttled
	case f.Code == "":
		return errorMapping{agent.CodeUnavailable, f.Text, retryHint}
	case mapping == unknownCall:
		return unknownCall
	case f.Status >= 500 && mapping != throttled:
		return internalError
	case mapping == tokenRefused && f.expired:
		return tokenExpired
	case known:
		return mapping
	}
	return errorMapping{agent.CodeInternal, "AWS answered {call} with {code}, which this version does not know", retryHint}
}

func (o *operation) errorf(code agent.Code, hint, format string, args ...any) *agent.Error {
	return &agent.Error{Code: code, Op: "aws", Environment: o.env.Name, Message: fmt.Sprintf(format, args...), Hint: hint}
}
