package cognito

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// An app client with a secret requires a proof of it in nearly every call: an HMAC over the
// user name, or the plain secret in calls without a user name. Calls with an access token need
// no proof.
// https://docs.aws.amazon.com/cognito/latest/developerguide/signing-up-users-in-your-app.html

// secretHash returns the proof for a call with the name user. It is empty for an app client
// without a secret. The name must be the same as in the call; from the first challenge on,
// that is the real name (see usernameFor).
func (o *operation) secretHash(user string) string {
	secret := o.env.ClientSecret.Current()
	if secret.IsZero() {
		return ""
	}
	m := hmac.New(sha256.New, []byte(secret.Reveal()))
	_, _ = m.Write([]byte(user + o.env.ClientID))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// addSecretHash adds the proof to AuthParameters or ChallengeResponses.
func (o *operation) addSecretHash(parameters map[string]string, user string) {
	if hash := o.secretHash(user); hash != "" {
		parameters["SECRET_HASH"] = hash
	}
}

// plainSecret returns the proof for a call without a user name; nil without a secret.
func (o *operation) plainSecret() *string { return optional(o.env.ClientSecret.Current().Reveal()) }

// withRenewedSecret makes a call, and makes it once more if Cognito refused the client secret
// and that can be renewed. Cognito checks the secret first, so a refused call has used up
// neither its refresh token nor a try of the password.
func (o *operation) withRenewedSecret(ctx context.Context, call func() *failure) *failure {
	used := o.env.ClientSecret.Current()
	fail := call()
	if fail == nil || fail.reason != reasonSecretWrong {
		return fail
	}
	renewed, err := o.env.ClientSecret.Renew(used)
	if err != nil {
		o.auth.log.WarnContext(ctx, "Cognito refused the client secret, and its file cannot be read again",
			"op", o.name, "env", o.env.Name, "error", err.Error())
	}
	if !renewed {
		return fail
	}
	o.auth.log.InfoContext(ctx, "Cognito refused the client secret, and its file has another one now", "op", o.name, "env", o.env.Name)
	return call()
}

// optional returns s for an optional field: nil if s is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}
