package cognito

import (
	"strings"

	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// This file holds what is known about a failed call; errors.go translates that into the error
// that a person reads.

// A failure is the error of a call (see awscall.Failure), with the reason that Cognito's
// message gave.
type failure struct {
	awscall.Failure
	reason    reason
	attribute string // with reasonProvided: the name of the attribute
	mayBeDone bool   // the same call was made before and failed, and Cognito may have done it all the same
}

func newFailure(f awscall.Failure, message string) *failure {
	fail := &failure{Failure: f, reason: reasonOf(message)}
	if message == "" && f.Code == "NotAuthorizedException" {
		fail.reason = reasonCredential // as of old pools and emulators
	}
	if m := providedPattern.Get().FindStringSubmatch(message); m != nil {
		fail.attribute = m[1]
	}
	return fail
}

// providedPattern finds the attribute in "Cannot modify an already provided email".
var providedPattern = lazyregexp.New(`already provided ([A-Za-z][A-Za-z0-9_:.-]{0,60})`)

// A reason is what a message of Cognito says beyond its error code. It changes the text of an
// error, but never decides whether a sign-in has ended. The only exception are errors about
// the app client's secret, for which Cognito uses NotAuthorizedException, too.
type reason string

const (
	reasonSecretMissing  reason = "secret"     // the app client has a secret, and none is configured
	reasonSecretWrong    reason = "wrong"      // the app client has another secret
	reasonSecretUnneeded reason = "no-secret"  // the app client has none
	reasonCredential     reason = "credential" // the user name or password is wrong
	reasonScope          reason = "scope"      // the access token is not allowed to do that
	reasonTrigger        reason = "trigger"    // a Lambda trigger refused
	reasonRisk           reason = "risk"       // threat protection refused
	reasonSession        reason = "session"    // the session of a challenge is not valid, or was used
	reasonNoTriggers     reason = "triggers"   // the pool has no triggers for a custom sign-in
	reasonAttempts       reason = "attempts"   // locked after too many bad passwords
	reasonDisabled       reason = "disabled"   // the user is disabled
	reasonTemporary      reason = "temporary"  // the temporary password has expired
	reasonFlow           reason = "flow"       // the app client does not allow the flow
	reasonExpired        reason = "expired"    // the session of a challenge is too old

	// Which value of an answer to NEW_PASSWORD_REQUIRED is refused.
	reasonForm       reason = "form"       // the password has a form that Cognito never takes
	reasonAttribute  reason = "attribute"  // an attribute, for its value or because it is missing
	reasonProvided   reason = "provided"   // an attribute has a value already
	reasonUnwritable reason = "unwritable" // the app client may not set an attribute

	// Which rule a new password breaks.
	reasonShort  reason = "short"
	reasonLong   reason = "long"
	reasonLower  reason = "lower"
	reasonUpper  reason = "upper"
	reasonDigit  reason = "digit"
	reasonSymbol reason = "symbol"

	// Why an account cannot be recovered.
	reasonState     reason = "state"     // its state does not allow it
	reasonConfirmed reason = "confirmed" // it is confirmed already
	reasonNoAddress reason = "address"   // there is no address to send a code to
)

// reasons are parts of messages that were seen in practice. AWS documents none of them.
var reasons = []struct {
	part   string // in lower case
	reason reason
}{
	{"is not configured for secret", reasonSecretUnneeded},
	{"secret hash", reasonSecretMissing},
	{"secrethash", reasonSecretMissing},
	{"secret_hash", reasonSecretMissing},
	{"is configured for secret", reasonSecretMissing},
	{"is configured with secret", reasonSecretMissing},
	{"verify secret for client", reasonSecretMissing},
	{"incorrect username or password", reasonCredential},
	{"user does not exist", reasonCredential},
	{"user not authorized", reasonCredential}, // cognito-local
	{"required scopes", reasonScope},
	{"failed with error", reasonTrigger},
	{"failed with the error", reasonTrigger},
	{"security reasons", reasonRisk},
	{"session is expired", reasonExpired},
	{"invalid session", reasonSession},
	{"session can only be used once", reasonSession},
	{"custom auth lambda trigger is not configured", reasonNoTriggers},
	{"password attempts exceeded", reasonAttempts},
	{"user is disabled", reasonDisabled},
	{"temporary password has expired", reasonTemporary},
	{"must be reset by an administrator", reasonTemporary},
	{"flow not enabled", reasonFlow},
	{"method not supported", reasonFlow},
	{"is not enabled for the client", reasonFlow},
	{"already provided", reasonProvided},
	{"unauthorized attribute", reasonUnwritable},
	{"value at 'password' failed", reasonForm},
	{"value at 'newpassword' failed", reasonForm},
	{"value at 'proposedpassword' failed", reasonForm},
	{"not long enough", reasonShort},
	{"password must not be longer", reasonLong},
	{"must have lowercase", reasonLower},
	{"must have uppercase", reasonUpper},
	{"must have numeric", reasonDigit},
	{"must have symbol", reasonSymbol},
	{"cannot be reset in the current state", reasonState},
	{"current status is confirmed", reasonConfirmed},
	{"is already confirmed", reasonConfirmed},
	{"no registered/verified email or phone", reasonNoAddress},
	{"auto verification not turned on", reasonNoAddress},
	{"attribute", reasonAttribute},
	{"invalid email address", reasonAttribute},
	{"invalid phone number", reasonAttribute},
}

// aboutSecret reports whether f is about the app client's secret, which is an error of the
// configuration, whatever its code.
func (f *failure) aboutSecret() bool {
	return f.reason == reasonSecretMissing || f.reason == reasonSecretWrong || f.reason == reasonSecretUnneeded
}

func reasonOf(message string) reason {
	message = strings.ToLower(message)
	for _, r := range reasons {
		if strings.Contains(message, r.part) {
			return r.reason
		}
	}
	return ""
}
