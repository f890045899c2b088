package awscreds

import (
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// A failure is what became of a call.
type failure struct {
	awscall.Failure
	expired bool // the message says that the ID token is too old
}

// An identity pool says NotAuthorizedException about an ID token that is too old, as about
// many things; only the message tells ("Invalid login token. Token expired: …"). AWS
// documents none of its messages.
func saysExpired(message string) bool {
	return strings.Contains(strings.ToLower(message), "token expired")
}

// A meaning is what an error code of AWS's is to a person, and to the agent.
//
// In message and hint {env} is the environment's name, {pool} the identity pool, {role} the
// role, {userpool} and {client} what the sign-in is made at, {issuer} the user pool to IAM,
// {region} where STS was called, {call} the call and {code} AWS's code.
type meaning struct {
	code    agent.Code
	message string
	hint    string
}

const tryAgain = "try again"

const askForOIDC = "ask the account's administrator to make {issuer} an identity provider in IAM, with {client} as audience, then run: kyc-agentd reload"

var (
	expired    = meaning{agent.CodeDenied, "AWS takes the ID token to be expired", "check this machine's clock"}
	throttled  = meaning{agent.CodeThrottled, "AWS asks to slow down", tryAgain + " in a minute"}
	broken     = meaning{agent.CodeUnavailable, "AWS has an internal error at {call} ({code})", tryAgain}
	parameters = meaning{agent.CodeConfiguration, "AWS refused the parameters of {call} ({code})",
		"check identity_pool_id, role_arn and aws_role_arn of environment {env}, then run: kyc-agentd reload"}
	refused = meaning{agent.CodeDenied, "the identity pool {pool} refused the ID token ({code})",
		"ask its administrator to name the user pool {userpool} and the app client {client} as its provider, then run: kyc-agentd reload"}
	noAccess = meaning{agent.CodeDenied, "AWS does not let this sign-in assume the role {role}",
		"ask the account's administrator to have its trust policy name {issuer} and the audience {client}, then run: kyc-agentd reload"}
	notTrusted = meaning{agent.CodeConfiguration, "AWS knows no identity provider for this ID token ({code})", askForOIDC}
	noAPI      = meaning{agent.CodeConfiguration, "what answers does not know the call {call} ({code})", "check aws_endpoint of environment {env}, then run: kyc-agentd reload"}
)

var meanings = map[string]meaning{
	"TooManyRequestsException":  throttled,
	"LimitExceededException":    throttled,
	"Throttling":                throttled,
	"ThrottlingException":       throttled,
	"RequestLimitExceeded":      throttled,
	"RequestThrottledException": throttled,
	"SlowDown":                  throttled,

	"InternalErrorException":          broken,
	"InternalFailure":                 broken,
	"InternalServerError":             broken,
	"ServiceUnavailable":              broken,
	"ResourceConflictException":       broken, // two sign-ins of one user at the same moment
	"ExternalServiceException":        broken,
	"ConcurrentModificationException": broken,
	"IDPCommunicationError":           broken, // STS could not fetch the user pool's keys
	"IDPCommunicationErrorException":  broken,

	"InvalidParameterException": parameters,
	"ValidationError":           parameters,
	"ValidationException":       parameters,
	"InvalidParameterValue":     parameters,
	"MissingParameter":          parameters,
	"SerializationException":    parameters,
	"InvalidAction":             noAPI,
	"UnknownOperationException": noAPI,

	"NotAuthorizedException": refused,
	"ForbiddenException":     refused,
	"ResourceNotFoundException": {agent.CodeConfiguration, "there is no identity pool {pool}",
		"check identity_pool_id of environment {env}, then run: kyc-agentd reload"},
	"InvalidIdentityPoolConfigurationException": {agent.CodeConfiguration, "the identity pool {pool} has no role for this user, or one that does not trust it ({code})",
		"ask its administrator, or set role_arn of environment {env}, then run: kyc-agentd reload"},

	"AccessDenied":                  noAccess,
	"AccessDeniedException":         noAccess,
	"ExpiredToken":                  expired,
	"ExpiredTokenException":         expired,
	"InvalidIdentityToken":          notTrusted,
	"InvalidIdentityTokenException": notTrusted,
	"IDPRejectedClaim":              {agent.CodeDenied, "AWS refused a claim of the ID token ({code})", askForOIDC},
	"IDPRejectedClaimException":     {agent.CodeDenied, "AWS refused a claim of the ID token ({code})", askForOIDC},
	"RegionDisabledException": {agent.CodeConfiguration, "STS is switched off in {region} for this account",
		"ask the account's administrator to activate it"},
}

// failed turns a failure into the agent's error.
func (t *task) failed(f *failure) *agent.Error {
	m := meaningOf(f)
	role := t.env.AWSRoleARN
	if role == "" {
		role = t.env.RoleARN
	}
	fill := strings.NewReplacer(
		"{env}", t.env.Name, "{pool}", t.env.IdentityPoolID, "{role}", role, "{userpool}", t.env.UserPoolID,
		"{client}", t.env.ClientID, "{issuer}", t.provider(), "{region}", t.env.Region, "{call}", f.Call.Name, "{code}", f.Code,
	)
	e := t.errorf(m.code, fill.Replace(m.hint), "%s", fill.Replace(m.message))
	e.RetryAfter, e.Err = f.RetryAfter, f
	if m == expired {
		e.Err = fmt.Errorf("%w: %w", agent.ErrIDTokenExpired, f)
	}
	return e
}

// meaningOf finds what f means.
func meaningOf(f *failure) meaning {
	m, known := meanings[f.Code]
	switch {
	case f.Code == "" && f.Status == 429:
		return throttled
	case f.Code == "":
		return meaning{agent.CodeUnavailable, f.Words, tryAgain}
	case m == noAPI:
		return noAPI
	case f.Status >= 500 && m != throttled:
		return broken
	case m == refused && f.expired:
		return expired
	case known:
		return m
	}
	return meaning{agent.CodeInternal, "AWS answered {call} with {code}, which this version does not know", tryAgain}
}

func (t *task) errorf(code agent.Code, hint, format string, args ...any) *agent.Error {
	return &agent.Error{Code: code, Op: "aws", Environment: t.env.Name, Message: fmt.Sprintf(format, args...), Hint: hint}
}
